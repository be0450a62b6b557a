"""Decides what becomes of a path under the target on the way to a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from raybackfill.model import TableFile, Version


class Step(Enum):
    """What is to be done with a path next."""

    NOTHING = "it shows the version"
    CREATE = "fill it, if nothing is there"
    REPLACE = "keep what is there, then replace just that"
    REMOVE = "keep what is there, then remove just that"
    LEAVE = "it is somebody else's"


@dataclass(frozen=True)
class Slot:
    """A path that a version changes: what it wants there (None: nothing), and what it saw there before
    (None: nothing)."""

    path: str
    wanted: TableFile | None
    before: TableFile | None


@dataclass(frozen=True)
class Content:
    """What lies at a path."""

    tag: str
    size: int
    stamp: str = ""


def slots(version: Version) -> list[Slot]:
    """The paths that the version changes. Only "version/1" retires paths that it does not name."""
    before = {file.path: file for file in version.retired}
    wanted = {file.path: file for file in version.files if file.since == version.number}
    return [Slot(path, wanted.get(path), before.get(path)) for path in sorted(wanted.keys() | before.keys())]


def next_step(slot: Slot, there: Content | None) -> Step:
    """What is replaced is what the version pinned, and nothing else: a path whose tag is neither that nor
    the version's own was changed by somebody, and a listing never says what may go.

    A path where nothing lies has no rows: it needs no empty file, and what its owner removed
    meanwhile is not missed.
    """
    wanted, before = slot.wanted, slot.before
    if there is None:
        return Step.NOTHING if wanted is None or wanted.is_empty else Step.CREATE
    if wanted is not None and wanted.is_shown_by(there.tag, there.size, there.stamp):
        return Step.NOTHING
    if before is None or before.tag != there.tag:
        return Step.LEAVE
    return Step.REMOVE if wanted is None else Step.REPLACE


def came_back(there: Mapping[str, Content], older: Version) -> set[str]:
    """The paths at which a file lies that this older version brought there, and that newer ones replaced:
    only a publisher that slept within a copy brings one back. What a version did not bring itself is
    its owner's, who may put it back."""
    brought = (file for file in older.files if file.since == older.number and file.path in there)
    return {
        file.path
        for file in brought
        if file.is_shown_by(there[file.path].tag, there[file.path].size, there[file.path].stamp)
    }


def not_shown(version: Version, present: Mapping[str, Content], shown: Mapping[str, TableFile]) -> list[str]:
    """The paths that hold something else than the version says, or nothing where it has rows; and those
    which it does not name at all. `shown`: the files of the version that lie where they should."""
    other = [path for path in present if path not in shown]
    return sorted(other + [f.path for f in version.files if f.path not in present and not f.is_empty])
