"""Listeners: they are told what happens and change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from raybackfill.control.planning.plan import Plan
from raybackfill.control.running.entries import Entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.errors import RaybackfillError
from raybackfill.observe.logs import Line


class Listener(Protocol):
    def began(self, run: Mapping[str, Any], plan: Plan, ledger: Ledger) -> None:
        """A driver took the run up; the ledger is what is known of it."""

    def started(self, unit: str, attempt: str, why: str) -> None:
        """An attempt was given to a worker; `why` is "first", "again", "part" or "backup"."""

    def ended(self, unit: str, attempt: str, error: RaybackfillError | None, lines: Sequence[Line]) -> None:
        """It came back; `lines` is what its worker logged meanwhile."""

    def recorded(self, entries: Sequence[Entry]) -> None:
        """These entries are durable."""

    def progressed(self, ledger: Ledger, running: int) -> None:
        """The ledger changed; `running` attempts are under way."""

    def say(self, text: str) -> None:
        """A sentence about what begins now."""


class Silent:
    """For callers that want no news, and for listeners that want some of it."""

    def began(self, run: Mapping[str, Any], plan: Plan, ledger: Ledger) -> None:
        pass

    def started(self, unit: str, attempt: str, why: str) -> None:
        pass

    def ended(self, unit: str, attempt: str, error: RaybackfillError | None, lines: Sequence[Line]) -> None:
        pass

    def recorded(self, entries: Sequence[Entry]) -> None:
        pass

    def progressed(self, ledger: Ledger, running: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class Several:
    """Tells several listeners, in order."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners

    def began(self, run: Mapping[str, Any], plan: Plan, ledger: Ledger) -> None:
        for listener in self._listeners:
            listener.began(run, plan, ledger)

    def started(self, unit: str, attempt: str, why: str) -> None:
        for listener in self._listeners:
            listener.started(unit, attempt, why)

    def ended(self, unit: str, attempt: str, error: RaybackfillError | None, lines: Sequence[Line]) -> None:
        for listener in self._listeners:
            listener.ended(unit, attempt, error, lines)

    def recorded(self, entries: Sequence[Entry]) -> None:
        for listener in self._listeners:
            listener.recorded(entries)

    def progressed(self, ledger: Ledger, running: int) -> None:
        for listener in self._listeners:
            listener.progressed(ledger, running)

    def say(self, text: str) -> None:
        for listener in self._listeners:
            listener.say(text)
