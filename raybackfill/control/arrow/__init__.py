"""How Arrow types relate, whatever they are used for."""
