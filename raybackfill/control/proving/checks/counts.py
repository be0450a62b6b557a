"""A receipt's numbers agree with each other: every row went somewhere."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding
from raybackfill.model import Receipt

NAME = "counts"


def miscounts(receipt: Receipt) -> list[str]:
    """What does not add up, in words."""
    rows = receipt.rows
    came, went = (
        rows.read + rows.added,
        rows.out + rows.filtered + rows.quarantined + rows.merged + rows.carried,
    )
    kept = rows.out + rows.carried
    staged = sum(file.rows for file in receipt.files)
    wrong = []
    if came != went:
        wrong.append(f"{came} rows came, and {went} went on ({rows.to_json()})")
    if staged != kept:
        wrong.append(f"{kept} rows were to be staged, and the files hold {staged}")
    if receipt.partitions is not None:
        by_file: dict[str, int] = {}
        for file in receipt.files:
            by_file[file.partition] = by_file.get(file.partition, 0) + file.rows
        given = {proof.partition: proof.rows for proof in receipt.partitions}
        for name in sorted(given.keys() | by_file.keys()):
            due, held = given.get(name, 0), by_file.get(name, 0)
            if due != held:
                wrong.append(f"{due} rows were for {name or 'the table'}, and its files hold {held}")
    if receipt.bytes_staged != sum(file.size for file in receipt.files):
        wrong.append(f"{receipt.bytes_staged} bytes were staged, and the files are of another size")
    return wrong


def look(evidence: Evidence) -> Iterator[Finding]:
    if evidence.receipt is not None:
        for wrong in miscounts(evidence.receipt):
            yield found(
                NAME,
                evidence,
                "receipt",
                "read + added = out + filtered + quarantined + merged + carried",
                wrong,
            )


def _rows(evidence: Evidence) -> int:
    return evidence.receipt.rows.read if evidence.receipt is not None else 0


CHECK = Check(NAME, "every row that was read went somewhere, and is counted once", "rows", look, _rows)
