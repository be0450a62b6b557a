"""The rows read back have the digest of the rows that the job gave."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding
from raybackfill.model import Digest

NAME = "digest"


def look(evidence: Evidence) -> Iterator[Finding]:
    receipt = evidence.receipt
    if not evidence.read_back or receipt is None or receipt.partitions is None:
        return
    given = {proof.partition: proof.digest for proof in receipt.partitions}
    read = {proof.partition: proof.digest for proof in evidence.partitions}
    for name in sorted(given.keys() | read.keys()):
        said, seen = given.get(name, Digest()), read.get(name, Digest())
        if said != seen:
            yield found(NAME, evidence, name, said, seen, name)


def _partitions(evidence: Evidence) -> int:
    return len(evidence.partitions) if evidence.read_back else 0


CHECK = Check(NAME, "the rows read back are the rows that the job gave", "partitions", look, _partitions)
