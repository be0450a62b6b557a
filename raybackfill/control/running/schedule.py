"""Decides which unit is started next: fresh ones, retries when they are due, parts, and backups."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any

from raybackfill.control.running.backup import stragglers
from raybackfill.control.running.dividing import divide, parts_of, undecided
from raybackfill.control.running.entries import set_aside_entry, split_entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.control.running.retry import RetryPolicy, Step, after_failure, wait_seconds
from raybackfill.model import Unit

DURATIONS_KEPT = 1000
"""Of so many finished attempts the usual time is known; a run may have a million."""


@dataclass(frozen=True, slots=True)
class Start:
    """A unit to be started, and why: "first", "again", "part" or "backup"."""

    unit: Unit
    why: str


@dataclass(slots=True)
class _Running:
    unit: Unit
    since: float
    backup: bool


class Schedule:
    """Holds what is under way, and nothing of what is done. Times are seconds of one clock that only
    goes forward.

    A unit is fresh, waits (for a retry, or as a part), is running in one attempt or two, or is being
    recorded; what the ledger decided on it is done.
    """

    def __init__(
        self, units: Iterable[Unit], ledger: Ledger, policy: RetryPolicy, *, whole_partitions: bool
    ) -> None:
        self._ledger = ledger
        self._policy = policy
        self._whole_partitions = whole_partitions
        self._fresh = (part for unit in units for part in undecided(unit, ledger))
        self._exhausted = False
        self._numbers = count()
        self._waiting: list[tuple[float, int, Start]] = []
        self._running: dict[str, _Running] = {}
        self._recording: dict[str, Unit] = {}
        self._finished: deque[float] = deque(maxlen=DURATIONS_KEPT)
        self._stopped = False

    def stop(self) -> None:
        """Nothing more is started; what is running comes to its end."""
        self._stopped = True
        self._waiting.clear()

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def is_done(self) -> bool:
        """Nothing is running, nothing is being recorded, and nothing is left to be started."""
        return self.is_idle and not self._recording

    @property
    def is_idle(self) -> bool:
        """Nothing is running or waits; what is being recorded may still bring something."""
        nothing_left = self._stopped or (self._exhausted and not self._waiting)
        return nothing_left and not self._running

    def next(self, now: float, free: int) -> Start | None:
        """What to start now, if anything. `free`: how many workers have nothing to do."""
        if self._stopped:
            return None
        if self._waiting and self._waiting[0][0] <= now:
            return heappop(self._waiting)[2]
        for unit in self._fresh:
            if not self._ledger.is_set_aside(unit.id):
                return Start(unit, "first")
        self._exhausted = True
        return None if self._waiting else self._backup(now, free)

    def due_seconds(self, now: float) -> float | None:
        """In how long the next retry is due; None where none waits."""
        return max(self._waiting[0][0] - now, 0.0) if self._waiting else None

    def started(self, start: Start, attempt: str, now: float) -> None:
        self._running[attempt] = _Running(start.unit, now, start.why == "backup")

    def ended(self, attempt: str, seconds: float | None) -> bool:
        """An attempt came back, after so many seconds of work if it succeeded: it is being recorded
        now. False where nobody waits for it."""
        ended = self._running.pop(attempt, None)
        if ended is None:
            return False
        self._recording[ended.unit.id] = ended.unit
        if seconds is not None:
            self._finished.append(seconds)
        return True

    def landed(self, entry: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
        """An entry is durable, and the ledger has it: what is to be recorded because of it."""
        unit = self._recording.pop(entry.get("unit", ""), None)
        if unit is None:
            return []
        if unit.id in self._ledger.splits:
            for part in parts_of(unit, self._ledger.splits[unit.id]):
                self._wait(Start(part, "part"), now)
            return []
        if entry["kind"] != "failed" or self._ledger.has_decided(unit.id) or self._is_running(unit.id):
            return []
        return self._after_failure(unit, now)

    def losers(self) -> list[str]:
        """Attempts that still run although their unit is decided: nobody waits for them any more."""
        lost = [a for a, running in self._running.items() if self._ledger.has_decided(running.unit.id)]
        for attempt in lost:
            del self._running[attempt]
        return lost

    def _after_failure(self, unit: Unit, now: float) -> list[dict[str, Any]]:
        if self._stopped:
            return []
        failure = self._ledger.failed[unit.id]
        parts = divide(unit, whole_partitions=self._whole_partitions) if failure.asks_for_less else []
        step = after_failure(failure, self._policy, divisible=bool(parts))
        if step is Step.AGAIN:
            self._wait(Start(unit, "again"), now + wait_seconds(unit.id, failure))
            return []
        self._recording[unit.id] = unit
        return [split_entry(unit.id, parts) if step is Step.DIVIDE else set_aside_entry(unit.id)]

    def _wait(self, start: Start, due: float) -> None:
        if not self._stopped:
            heappush(self._waiting, (due, next(self._numbers), start))

    def _is_running(self, unit: str) -> bool:
        return any(running.unit.id == unit for running in self._running.values())

    def _backup(self, now: float, free: int) -> Start | None:
        ages = {r.unit.id: now - r.since for r in self._running.values() if not r.backup}
        doubled = {r.unit.id for r in self._running.values() if r.backup} | self._recording.keys()
        late = stragglers(ages, doubled, self._finished, free)
        unit = next((r.unit for r in self._running.values() if late and r.unit.id == late[0]), None)
        return None if unit is None else Start(unit, "backup")
