"""Every file of the receipt is there."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding

NAME = "present"


def look(evidence: Evidence) -> Iterator[Finding]:
    for key in evidence.places:
        if key not in evidence.found:
            yield found(NAME, evidence, key, "a file", "nothing")


CHECK = Check(NAME, "every file is there", "files", look, lambda evidence: len(evidence.places))
