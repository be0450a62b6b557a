"""Chaos: real runs of the command line on a real Ray, whose processes are killed, stopped and cut off."""
