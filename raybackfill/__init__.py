"""raybackfill rebuilds historical data in object storage.

A record's way has five hops: plan (partitions -> units), extract (objects -> rows), transform (the
user's job), load (rows -> staged files and a receipt), publish (receipts -> a new version).
"""

from raybackfill.api import Backfill, Run, load, open_run
from raybackfill.control.planning.plan import Plan
from raybackfill.errors import (
    FencedError,
    IntegrityError,
    RaybackfillError,
    SpecError,
    TransientError,
    UnitError,
)
from raybackfill.job import Context
from raybackfill.reading import files, read_table
from raybackfill.version import VERSION

__version__ = VERSION

__all__ = [
    "Backfill",
    "Context",
    "FencedError",
    "IntegrityError",
    "Plan",
    "RaybackfillError",
    "Run",
    "SpecError",
    "TransientError",
    "UnitError",
    "files",
    "load",
    "open_run",
    "read_table",
]
