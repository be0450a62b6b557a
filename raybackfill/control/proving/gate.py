"""A gate: a check that must pass before the next step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gate:
    """A check that refused the next step, why, and what helps."""

    name: str
    reason: str
    next: str
