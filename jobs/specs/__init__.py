"""What each kind of stage computes: frozen, strict models; every field is part of the key."""
