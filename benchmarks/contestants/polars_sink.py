"""Polars by itself: scan, filter, compute, sink by partition, all streaming."""

from __future__ import annotations

import time

import polars as pl

from benchmarks.contestants import Task, Timing
from benchmarks.revenue import with_polars


def run(task: Task) -> Timing:
    started = time.perf_counter()
    events = pl.scan_parquet(f"{task.source}/*/*.parquet", hive_partitioning=True)
    with_polars(events).sink_parquet(
        pl.PartitionBy(str(task.target), key=["dt"], include_key=False),
        compression="zstd",
        compression_level=1,
        mkdir=True,
    )
    return Timing(time.perf_counter() - started)
