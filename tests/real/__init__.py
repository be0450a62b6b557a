"""The project's own configs over the real inputs, end to end; what they make is read back by others."""
