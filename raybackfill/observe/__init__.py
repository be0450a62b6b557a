"""Listeners: they are told what happens and change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from raybackfill.control.planning.plan import Plan
from raybackfill.control.running.ledger import Ledger


class Listener(Protocol):
    def began(self, run: Mapping[str, Any], plan: Plan, ledger: Ledger) -> None:
        """A driver took the run up; the ledger is what is known of it."""

    def progressed(self, ledger: Ledger, running: int) -> None:
        """Outcomes were recorded; `running` units are under way."""

    def say(self, text: str) -> None:
        """A sentence about what begins now."""


class Silent:
    """For callers that want no news."""

    def began(self, run: Mapping[str, Any], plan: Plan, ledger: Ledger) -> None:
        pass

    def progressed(self, ledger: Ledger, running: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass
