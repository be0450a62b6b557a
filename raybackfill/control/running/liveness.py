"""Decides whether a driver still works on a run. It is advice: safety never depends on it."""

from __future__ import annotations

from dataclasses import dataclass

# A driver says so often that it lives; one that was silent for three such times is taken for gone.
ALIVE_SECONDS = 10.0
GONE_SECONDS = 30.0

WORKING = frozenset({"running", "publishing", "rolling_back"})
"""States that only a driver which works leaves again; a run in any other has none."""


@dataclass(frozen=True)
class Sign:
    """A driver's last sign of life: who, on which machine, how old by the store's own clock.

    `has_died`: this machine is his, and his process is no more.
    """

    driver: str
    host: str
    pid: int
    age_seconds: float
    running: int
    has_died: bool


def is_live(state: str, sign: Sign | None) -> bool:
    return state in WORKING and sign is not None and not sign.has_died and sign.age_seconds < GONE_SECONDS
