"""Contestants: one engine a module, each a function that does the whole work and times itself.

To add one: a module here and a line in CONTESTANTS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Task:
    """What is asked: read the workload's files below `source`, write the table to `target`. `folder`
    is the contestant's own, `target` lies in it, and both are new. `cores` is how many it may use."""

    workload: Workload
    source: Path
    target: Path
    folder: Path
    cores: int


@dataclass(frozen=True)
class Timing:
    """`seconds` of work, all of it; `starting_seconds` for what came before (a cluster, workers)."""

    seconds: float
    starting_seconds: float = 0.0
    details: Mapping[str, float] = field(default_factory=dict)


Compete = Callable[[Task], Timing]


@dataclass(frozen=True)
class Contestant:
    """`run` names a Compete as "module:function". `writes` says what stands in its files and how
    safely. `threads`: whether POLARS_MAX_THREADS is the cores' number or left to the engine. `extra`:
    not in a quick race unless it is named, because starting a Ray for it takes longer than the rest."""

    name: str
    run: str
    writes: str
    threads: bool = False
    single_core: bool = False
    extra: bool = False


OURS = "zstd 1, page checksums, fsync, receipts, journal"

CONTESTANTS = (
    Contestant("raybackfill", "raybackfill_run:polars_on_ray", OURS),
    Contestant("polars", "polars_sink:run", "zstd 1", threads=True),
    Contestant("duckdb", "duckdb_copy:run", "zstd 1"),
    Contestant("ray-data", "ray_data:run", "zstd 1"),
    Contestant("raybackfill-arrow", "raybackfill_run:arrow_on_ray", OURS, extra=True),
    Contestant("raybackfill-sql", "raybackfill_run:sql_on_ray", OURS, extra=True),
    Contestant("raybackfill-inline", "raybackfill_run:polars_inline", OURS, single_core=True),
)
"""In the order of the table. Ratios are to `polars` and `ray-data`."""
