"""A seeded simulation: the real driver, journal and table in a world of faults, with a clock of its own."""
