"""A table's versions and their view."""
