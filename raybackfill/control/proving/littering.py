"""Decides what of a run's leftovers nobody can need any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raybackfill.control.running.ledger import Ledger
from raybackfill.paths import RunPaths


@dataclass(frozen=True)
class Litter:
    """An object of a run's that may go, and how large it is; or with an `upload` an unfinished one."""

    key: str
    size: int
    tag: str
    upload: str = ""


def losers(found: Sequence[Litter], run: RunPaths, ledger: Ledger) -> list[Litter]:
    """Of what attempts left in the `staged` folder that which lost: its unit was decided otherwise, by
    another attempt or by a split. `found` was listed before the ledger was read.

    An attempt at a unit that is not decided may sleep and win yet, however old its files are; what wins
    is kept until the run is closed.
    """
    return [each for each in found if _lost(run.attempt_of(each.key), ledger)]


def _lost(place: tuple[str, str] | None, ledger: Ledger) -> bool:
    if place is None:
        return False
    unit, attempt = place
    return unit in ledger.splits or ledger.decided.get(unit, attempt) != attempt
