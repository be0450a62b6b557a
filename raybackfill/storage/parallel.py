"""Sends many requests at a time: a store answers each in milliseconds, and many beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREADS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(act: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What `act` gives for each item, in their order. The first error ends it: what has not begun by
    then is left."""
    with ThreadPoolExecutor(THREADS) as pool:
        pending = [pool.submit(act, item) for item in items]
        try:
            return [future.result() for future in pending]
        except BaseException:
            for future in pending:
                future.cancel()
            raise
