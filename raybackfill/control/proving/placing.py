"""Decides where the files of a unit must lie once they are published."""

from __future__ import annotations

from collections.abc import Mapping

from raybackfill.control.proving.evidence import Place
from raybackfill.model import Version

Places = Mapping[str, Mapping[str, Place]]
"""attempt -> staged key -> where that file must be in the table."""


def places_in_table(version: Version, newest: Version, target: str) -> tuple[Places, int]:
    """Of all files that the run's version brought, those that the newest version still has; and of how
    many attempts later versions replaced some. `target` is the table's folder as a key."""
    still = {file.path: file.tag for file in newest.files}
    places: dict[str, dict[str, Place]] = {}
    superseded = set()
    for file in version.files:
        if file.since != version.number or file.is_empty:
            continue
        of_attempt = places.setdefault(file.stamp, {})
        if still.get(file.path) == file.tag:
            of_attempt[file.staged] = Place(file.staged, f"{target}/{file.path}", file.size, file.tag)
        else:
            superseded.add(file.stamp)
    return places, len(superseded)
