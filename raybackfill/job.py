"""What a user writes: a plain function, and what it may be given beside its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Context:
    """What a job may know of the run that calls it, as the parameter `context`.

    `as_of` is the plan's time (with its zone), the same on every retry and resume: there is no
    clock here, because a job must give the same rows each time.
    """

    run_id: str
    as_of: datetime
    timezone: str
