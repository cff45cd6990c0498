"""How each kind of stage gets its spec and parents."""
