"""Nothing lies beside a unit's files that its receipt does not name."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding

NAME = "unlisted"


def look(evidence: Evidence) -> Iterator[Finding]:
    for key in evidence.unlisted:
        yield found(NAME, evidence, key, "no file", "a file that the receipt does not name")


CHECK = Check(NAME, "nothing lies beside them", "files", look, lambda evidence: len(evidence.found))
