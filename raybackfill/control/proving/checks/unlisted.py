"""Nothing lies beside a unit's files that its receipt does not name."""

from __future__ import annotations

from collections.abc import Iterator

from raybackfill.control.proving.checks.check import Check, found
from raybackfill.control.proving.evidence import Evidence, Finding

NAME = "unlisted"


def look(evidence: Evidence) -> Iterator[Finding]:
    for key in evidence.unlisted:
        yield found(NAME, evidence, key, "no file", "a file that the receipt does not name")


def _staged(evidence: Evidence) -> int:
    """Beside a published file others may lie: that is for the table's view to say."""
    return sum(place.key == place.staged for place in evidence.places.values())


CHECK = Check(NAME, "nothing lies beside what was staged", "files", look, _staged)
