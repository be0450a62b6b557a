"""Every file is the object that was written: its tag is the same."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding

NAME = "tag"


def look(evidence: Evidence) -> Iterator[Finding]:
    """A copy may have another tag than its original (S3, above one part); its stamp then tells."""
    for key, file in evidence.found.items():
        place = evidence.places[key]
        is_copy = place.key != place.staged and file.stamp == evidence.attempt
        if file.tag != place.tag and not is_copy:
            yield found(NAME, evidence, key, f"tag {place.tag}", file.tag)


CHECK = Check(NAME, "every file is the object that was written", "files", look, lambda e: len(e.found))
