"""Proof of content: what is damaged on the way to the table or in it is named, and mended."""
