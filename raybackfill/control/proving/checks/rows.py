"""As many rows are read back, partition by partition, as the job gave."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding

NAME = "rows"


def look(evidence: Evidence) -> Iterator[Finding]:
    receipt = evidence.receipt
    if not evidence.read_back or receipt is None:
        return
    for file in receipt.files:
        seen = evidence.found.get(file.key)
        if seen is not None and not seen.problem and seen.rows != file.rows:
            yield found(NAME, evidence, file.key, f"{file.rows} rows", f"{seen.rows} rows")
    if receipt.partitions is None:
        return
    given = {proof.partition: proof.rows for proof in receipt.partitions}
    read = {proof.partition: proof.rows for proof in evidence.partitions}
    for name in sorted(given.keys() | read.keys()):
        if given.get(name, 0) != read.get(name, 0):
            yield found(NAME, evidence, name, f"{given.get(name, 0)} rows", f"{read.get(name, 0)} rows", name)


def _rows(evidence: Evidence) -> int:
    return sum(proof.rows for proof in evidence.partitions) if evidence.read_back else 0


CHECK = Check(NAME, "as many rows are read back as the job gave", "rows", look, _rows)
