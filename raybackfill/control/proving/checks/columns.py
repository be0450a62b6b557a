"""Nulls, smallest, largest and sum of every column are those that the receipt says."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding
from raybackfill.model import ColumnFacts

NAME = "columns"
FACTS = ("nulls", "min", "max", "sum")


def look(evidence: Evidence) -> Iterator[Finding]:
    receipt = evidence.receipt
    if not evidence.read_back or receipt is None or receipt.partitions is None:
        return
    for name, facts in receipt.columns.items():
        read = evidence.columns.get(name, ColumnFacts(0))
        for fact in FACTS:
            said, seen = getattr(facts, fact), getattr(read, fact)
            if said != seen:
                yield found(NAME, evidence, f"column {name}", f"{fact} {said}", f"{fact} {seen}")


def _columns(evidence: Evidence) -> int:
    return len(evidence.columns) if evidence.read_back else 0


CHECK = Check(NAME, "nulls, bounds and exact sums of columns are the same", "columns", look, _columns)
