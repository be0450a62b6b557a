"""What a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from raybackfill.control.proving.evidence import Evidence, Finding


@dataclass(frozen=True)
class Check:
    """`claim` is what holds where the check finds nothing. `look` gives what does not hold; `figure` how
    much was looked at, in `measure` (files, rows, bytes)."""

    name: str
    claim: str
    measure: str
    look: Callable[[Evidence], Iterable[Finding]]
    figure: Callable[[Evidence], int]


def found(
    name: str, evidence: Evidence, where: str, expected: object, actual: object, partition: str | None = None
) -> Finding:
    """A finding. Its partition is the file's, where it is about one, or the unit's, where that has one."""
    if partition is None:
        files = evidence.receipt.files if evidence.receipt is not None else ()
        about = {file.partition for file in files if file.key == where} or {file.partition for file in files}
        partition = about.pop() if len(about) == 1 else ""
    place = evidence.places.get(where)
    return Finding(name, evidence.unit, partition, place.key if place else where, str(expected), str(actual))
