"""Every file says that this attempt wrote it."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding

NAME = "owner"


def look(evidence: Evidence) -> Iterator[Finding]:
    for key, file in evidence.found.items():
        if file.rows >= 0 and file.stamp != evidence.attempt:
            by = f"attempt {file.stamp}" if file.stamp else "somebody else"
            yield found(NAME, evidence, key, f"written by attempt {evidence.attempt}", f"written by {by}")


def _read(evidence: Evidence) -> int:
    return sum(file.rows >= 0 for file in evidence.found.values())


CHECK = Check(NAME, "every file says that this attempt wrote it", "files", look, _read)
