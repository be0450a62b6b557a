"""Hop 1, plan: what it takes to look at source and target; what follows from it is decided in control."""
