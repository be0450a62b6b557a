"""Ray Data: the same pyarrow function over blocks, on a local Ray."""

from __future__ import annotations

import logging
import time

import ray
import ray.data

from benchmarks.contestants import Task, Timing
from benchmarks.revenue import with_arrow

WARMING_SECONDS = 1.0


def run(task: Task) -> Timing:
    began = time.perf_counter()
    ray.init(
        address="local",
        num_cpus=task.cores,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    # Its workers start and import before the clock does, as raybackfill's do.
    warm = ray.remote(_ready).options(num_cpus=1)
    ray.get([warm.remote() for _ in range(task.cores)])
    started = time.perf_counter()
    events = ray.data.read_parquet(str(task.source))
    # Blocks as they are read, without a copy: the fastest way that its documentation shows.
    changed = events.map_batches(with_arrow, batch_format="pyarrow", batch_size=None, zero_copy_batch=True)
    changed.write_parquet(str(task.target), partition_cols=["dt"], compression="zstd", compression_level=1)
    return Timing(time.perf_counter() - started, started - began)


def _ready() -> str:
    """Comes back when a worker has imported what blocks need. All of them work at once: a task that
    ended at once would leave the next to the same worker."""
    time.sleep(WARMING_SECONDS)
    return f"{ray.data.__name__} {with_arrow.__name__}"
