"""What each kind of stage computes: frozen, strict models whose every field is identity."""
