"""Every file has the size that the receipt says."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding

NAME = "size"


def look(evidence: Evidence) -> Iterator[Finding]:
    for key, file in evidence.found.items():
        if file.size != evidence.places[key].size:
            yield found(NAME, evidence, key, f"{evidence.places[key].size} bytes", f"{file.size} bytes")


def _bytes(evidence: Evidence) -> int:
    return sum(file.size for file in evidence.found.values())


CHECK = Check(NAME, "every file has the size that it was given", "bytes", look, _bytes)
