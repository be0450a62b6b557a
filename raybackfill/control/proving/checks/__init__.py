"""Checks of a unit's evidence: one a file, and a line in `ALL`."""

from __future__ import annotations

from raybackfill.control.proving.checks import (
    columns,
    counts,
    digest,
    owner,
    present,
    readable,
    receipt,
    rows,
    size,
    tag,
    unlisted,
)
from raybackfill.control.proving.checks.check import Check
from raybackfill.control.proving.evidence import Evidence, Verdict

ALL: tuple[Check, ...] = (
    receipt.CHECK,
    counts.CHECK,
    present.CHECK,
    size.CHECK,
    tag.CHECK,
    unlisted.CHECK,
    readable.CHECK,
    owner.CHECK,
    rows.CHECK,
    columns.CHECK,
    digest.CHECK,
)
"""In the order in which they are read: what comes later tells more about what comes before."""


def judge(evidence: Evidence) -> Verdict:
    receipt = evidence.receipt
    return Verdict(
        unit=evidence.unit,
        attempt=evidence.attempt,
        findings=tuple(finding for check in ALL for finding in check.look(evidence)),
        figures={check.name: check.figure(evidence) for check in ALL},
        digest=str(receipt.digest) if receipt is not None and receipt.partitions is not None else "",
        bytes_read=evidence.bytes_read,
        seconds=evidence.seconds,
    )
