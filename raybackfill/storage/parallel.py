"""Sends many requests at a time: a store answers each in milliseconds, and many beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    act: Callable[[Item], Result], items: Iterable[Item], *, threads: int | None = None
) -> list[Result]:
    """What `act` gives for each item, in their order. The first error ends it: what has not begun by
    then is left."""
    with ThreadPoolExecutor(min(threads or THREADS, THREADS)) as pool:
        return all_results([pool.submit(act, item) for item in items])


def all_results(pending: Sequence[Future[Result]]) -> list[Result]:
    """All results, or the first error once the work not yet begun is called off."""
    try:
        return [future.result() for future in pending]
    except BaseException:
        for future in pending:
            future.cancel()
        raise
