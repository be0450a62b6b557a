"""Decides which units get a second attempt beside their first, near the end of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from statistics import median

# A straggler takes so many times as long as others did, and at least so long: below that a second
# attempt, which reads and writes everything again, costs more than it can win.
TIMES_MEDIAN = 3.0
SECONDS_MIN = 10.0
# Of fewer nobody knows what is usual.
FINISHED_MIN = 3


def stragglers(
    ages: Mapping[str, float], doubled: Collection[str], finished: Collection[float], free: int
) -> list[str]:
    """The units to back up, the oldest first, one for each free worker at most.

    `ages`: for how many seconds each unit has been running; `doubled`: those that have a backup;
    `finished`: seconds that finished attempts took. To be asked when no other unit waits.
    """
    if free < 1 or len(finished) < FINISHED_MIN:
        return []
    slow = max(TIMES_MEDIAN * median(finished), SECONDS_MIN)
    late = [unit for unit, age in ages.items() if age > slow and unit not in doubled]
    return sorted(late, key=lambda unit: -ages[unit])[:free]
