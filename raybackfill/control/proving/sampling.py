"""Decides which units are read back, where not all of them are."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from zlib import crc32

SAMPLE_SHARE = 0.1
SAMPLE_UNITS_MIN = 10

READ_BACKS = ("full", "sample", "none")


def read_back_units(units: Sequence[str], read_back: str) -> frozenset[str]:
    """All units, a tenth of them (ten at least), or none. A sample is the same each time, and has
    nothing to do with the units' order: what is next to each other is often damaged together."""
    if read_back == "none":
        return frozenset()
    if read_back == "full":
        return frozenset(units)
    wanted = max(ceil(len(units) * SAMPLE_SHARE), SAMPLE_UNITS_MIN)
    return frozenset(sorted(units, key=lambda unit: (crc32(unit.encode()), unit))[:wanted])
