"""DuckDB by itself: one `copy` from files to files."""

from __future__ import annotations

import time

import duckdb

from benchmarks.contestants import Task, Timing
from benchmarks.revenue import QUERY


def run(task: Task) -> Timing:
    connection = duckdb.connect()
    # Its default keeps the order of rows, which the others do not promise either and which costs it.
    connection.execute(f"set threads = {task.cores}; set preserve_insertion_order = false")
    started = time.perf_counter()
    files = f"read_parquet('{task.source}/*/*.parquet', hive_partitioning = true)"
    connection.execute(
        f"copy (with input as (from {files}) {QUERY}) to '{task.target}' "
        "(format parquet, partition_by (dt), compression zstd, compression_level 1)"
    )
    return Timing(time.perf_counter() - started)
