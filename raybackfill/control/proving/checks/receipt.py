"""The receipt is the one that the journal took note of."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding

NAME = "receipt"


def look(evidence: Evidence) -> Iterator[Finding]:
    if evidence.receipt is None:
        yield found(NAME, evidence, evidence.receipt_key, "the receipt", evidence.problem or "nothing")
    elif evidence.sealed and evidence.checksum != evidence.sealed:
        yield found(NAME, evidence, evidence.receipt_key, f"checksum {evidence.sealed}", evidence.checksum)


CHECK = Check(NAME, "the receipt is the one that the journal took note of", "receipts", look, lambda e: 1)
