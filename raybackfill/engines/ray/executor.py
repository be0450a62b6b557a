"""Runs tasks on Ray. Ray's own retries are off: an attempt that the ledger does not know must not be."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import ray
from ray import exceptions

from raybackfill.checkpoint.recorder import Sender
from raybackfill.engines import Item, OpenWriter, Outcome, Result, Task, Work, look, run_task
from raybackfill.engines.ray.checkpoint_actor import ActorSender
from raybackfill.errors import OUT_OF_MEMORY, WORKER_LOST, RaybackfillError, TransientError, UnitError
from raybackfill.observe.logs import FORMAT_VARIABLE

# Each worker has one task and one that waits behind it, so that none is idle while the driver
# records; more would only make a node's loss cost more.
TASKS_PER_CPU = 2
REFRESH_TASKS = 64


class RayEngine:
    """A local Ray of this process, or the cluster at `address`; it never joins one that it merely
    finds. `workers` bounds the units at once, else the cluster's CPUs do."""

    def __init__(self, work: Work, *, address: str | None, workers: int | None) -> None:
        self._workers = workers
        self._address = address
        self._pending: dict[Any, Task] = {}
        self._since_refresh = 0
        self._sender: ActorSender | None = None
        self._began_here = _connect(address, workers)
        self._cpus = self._count_cpus()
        self._work = ray.put(work)
        self._remote = ray.remote(_run).options(max_retries=0, num_cpus=1, name="raybackfill-unit")

    def warm(self) -> None:
        ready, _ = ray.wait(
            [self._remote.remote(self._work, None) for _ in range(self.slots())], num_returns=1
        )
        # What Ray itself says here the first task meets too, and that one is accounted for.
        with contextlib.suppress(exceptions.RayError):
            if isinstance(error := ray.get(ready[0]), RaybackfillError):
                raise error

    def checkpoint(self, local: Sender, open_writer: OpenWriter) -> Sender:
        self._sender = ActorSender(open_writer)
        return self._sender

    def slots(self) -> int:
        return self._cpus if self._workers is None else min(self._cpus, self._workers)

    def capacity(self) -> int:
        self._since_refresh += 1
        if self._since_refresh > REFRESH_TASKS:
            self._since_refresh, self._cpus = 0, self._count_cpus()
        # A Ray that was begun here has as many CPUs as workers are wanted: it bounds them itself.
        if self._workers is None or (self._began_here and self._address is None):
            return self._cpus * TASKS_PER_CPU
        return self._workers

    def start(self, task: Task) -> None:
        self._pending[self._remote.remote(self._work, task)] = task

    def wait(self, seconds: float) -> list[Outcome]:
        if not self._pending:
            return []
        ready, rest = ray.wait(list(self._pending), num_returns=1, timeout=seconds)
        # All that is there: one journal object then records the lot.
        more, _ = ray.wait(rest, num_returns=len(rest), timeout=0) if ready and rest else ([], [])
        return [_outcome(reference, self._pending.pop(reference)) for reference in [*ready, *more]]

    def cancel(self, attempt: str) -> None:
        for reference in [r for r, task in self._pending.items() if task.attempt == attempt]:
            del self._pending[reference]
            with contextlib.suppress(Exception):
                ray.cancel(reference, force=True)

    def each(
        self, act: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | RaybackfillError]]:
        remote = ray.remote(look).options(max_retries=0, num_cpus=1, name="raybackfill-look")
        shared, waiting = ray.put(act), iter(items)
        running: dict[Any, Item] = {}
        while True:
            for item in islice(waiting, self.capacity() - len(running)):
                running[remote.remote(shared, item)] = item
            if not running:
                return
            ready, _ = ray.wait(list(running), num_returns=1)
            yield running.pop(ready[0]), _looked(ready[0])

    def close(self) -> None:
        for task in list(self._pending.values()):
            self.cancel(task.attempt)
        if self._sender is not None:
            self._sender.close()
        if self._began_here:
            ray.shutdown()

    def _count_cpus(self) -> int:
        return max(int(ray.cluster_resources().get("CPU", 1)), 1)


def _connect(address: str | None, workers: int | None) -> bool:
    """Whether a Ray was begun here, which then is ended here."""
    if ray.is_initialized():
        return False
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": True,
    }
    try:
        if address is None:
            _set_up_workers()
            ray.init(address="local", num_cpus=workers, include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise TransientError(
            f"Ray cannot be reached: {error}",
            where=address or "local",
            next="check --address and RAY_ADDRESS, or run without Ray: --engine inline",
        ) from error
    return True


def _set_up_workers() -> None:
    """Before Polars is imported, which it is in workers when the first job is: Ray's inherit it."""
    # It would otherwise start a thread a core in each of a core's workers.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    # It would otherwise give its memory back between two units, and fetch it again page by page.
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000,muzzy_decay_ms:-1")


def _run(work: Work, task: Task | None) -> Any:
    _set_up_workers()
    if task is not None:
        return run_task(work, task, sys.stderr if os.environ.get(FORMAT_VARIABLE) == "json" else None)
    try:
        return work.prepare()
    except RaybackfillError as error:
        # Given back, not raised: Ray would wrap it, and its text with it.
        return error


def _outcome(reference: Any, task: Task) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except Exception as error:
        return Outcome(task, error=translate(error, task.unit.id))
    return outcome


def _looked(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except Exception as error:
        return translate(error, "that was looked at")


def translate(error: Exception, unit: str) -> RaybackfillError:
    """Ray's errors as ours: a lost worker or node is transient; too little memory asks for a smaller
    unit; anything else that a task raised is the unit's own."""
    if isinstance(error, exceptions.OutOfMemoryError):
        return TransientError(
            "a worker ran out of memory",
            where=f"unit {unit}",
            next="raise limits.worker_memory, or run fewer workers",
            fault=OUT_OF_MEMORY,
        )
    lost = (
        exceptions.WorkerCrashedError,
        exceptions.NodeDiedError,
        exceptions.ObjectLostError,
        exceptions.LocalRayletDiedError,
        exceptions.RuntimeEnvSetupError,
    )
    if isinstance(error, lost):
        return TransientError(
            f"a worker was lost ({type(error).__name__})", where=f"unit {unit}", fault=WORKER_LOST
        )
    cause = error.as_instanceof_cause() if isinstance(error, exceptions.RayTaskError) else error
    text = str(cause).strip().splitlines()
    return UnitError(f"{type(cause).__name__}: {text[-1] if text else ''}", where=f"unit {unit}")
