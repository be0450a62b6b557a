"""Decides what follows a failed attempt: another one, a smaller unit, or none; and when to give up."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum, auto

from raybackfill.control.running.ledger import Failure

BACKOFF_SECONDS = 1.0
BACKOFF_GROWTH = 4.0
BACKOFF_SECONDS_MAX = 60.0
# Fewer are no sign that something is wrong with all units.
BREAKER_UNITS_MIN = 3

PASSES = frozenset({"TransientError", "UnitError"})
"""Errors after which the other units go on: all others are the whole run's."""


class Step(Enum):
    AGAIN = auto()
    DIVIDE = auto()
    SET_ASIDE = auto()


@dataclass(frozen=True)
class RetryPolicy:
    """`attempts` at a unit in all; `breaker` is the share of units that may fail for good."""

    attempts: int = 4
    breaker: float = 0.05


def after_failure(failure: Failure, policy: RetryPolicy, *, divisible: bool) -> Step:
    """A unit that was too large is divided rather than tried again as it is."""
    if failure.asks_for_less and divisible:
        return Step.DIVIDE
    return Step.SET_ASIDE if failure.attempts >= policy.attempts else Step.AGAIN


def wait_seconds(unit: str, failure: Failure) -> float:
    """How long to wait before the next attempt. What failed by itself gains nothing by waiting; after
    what failed from outside the wait grows, and differs by unit, so that not all come back at once."""
    if failure.kind == "UnitError":
        return 0.0
    full = min(BACKOFF_SECONDS * BACKOFF_GROWTH ** (failure.attempts - 1), BACKOFF_SECONDS_MAX)
    spread = zlib.crc32(f"{unit}/{failure.attempts}".encode()) / 2**32
    return full * (0.5 + spread / 2)


def breaks(set_aside: int, units: int, policy: RetryPolicy) -> bool:
    """Whether so many units failed for good that the run had better stop."""
    return set_aside >= BREAKER_UNITS_MIN and set_aside > policy.breaker * units
