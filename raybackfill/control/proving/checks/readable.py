"""Every file can be read: its pages have their checksums, and its footer fits them."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding

NAME = "readable"


def look(evidence: Evidence) -> Iterator[Finding]:
    for key, file in evidence.found.items():
        if file.problem:
            yield found(NAME, evidence, key, "a file that can be read", file.problem)


CHECK = Check(
    NAME, "every file can be read, page by page", "bytes", look, lambda evidence: evidence.bytes_read
)
