"""Decides what a table is made of when a run is taken back: what it replaced, and all else as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from raybackfill.control.proving.composition import Composition, named
from raybackfill.control.proving.gate import Gate
from raybackfill.control.proving.slots import slots
from raybackfill.model import TableFile, Version


@dataclass(frozen=True)
class Kept:
    """A file that the run replaced, and the version that kept it."""

    file: TableFile
    version: int


@dataclass(frozen=True)
class Undoing:
    """`restored`: what comes back, under a stamp of its own; `composition`: all other files, what is
    retired for it, and the paths that are left without rows."""

    restored: tuple[Kept, ...]
    composition: Composition


def undo(
    versions: Sequence[Version], run_id: str, current: pa.Table, shown: Mapping[str, TableFile]
) -> Undoing | Gate:
    """Take back the versions of a run. `versions` are those from its first one to the newest; `current` and
    `shown` as for `compose`.

    What comes back is what the first of them retired at each path. Refused where a version of another
    run stands above that was not taken back itself, or where a path that the run changed holds something
    else by now.
    """
    ours = [version for version in versions if version.run_id == run_id]
    undone = {version.run_id for version in versions if version.undoes}
    above = [version for version in versions if version.run_id not in (run_id, *undone)]
    if above:
        newest = above[-1]
        return Gate(
            "no newer version",
            f"run {newest.run_id} published version {newest.number} above this one",
            f"take that one back first: raybackfill rollback {newest.run_root}",
        )
    before = _before(ours)
    there = {row["path"]: row for row in current.to_pylist()}
    changed = sorted(path for path in before.keys() & there.keys() if path not in shown)
    if changed:
        return Gate(
            "target unchanged",
            f"files of the target changed since the run published them: {named(changed)}",
            "they are left as they are; bring back the partitions by hand from the run's folder, previous/",
        )
    restored = [kept for kept in before.values() if kept is not None]
    back = {kept.file.path for kept in restored}
    held = {path: replace(shown[path], tag=there[path]["tag"]) for path in before if path in there}
    retired = {path: file for path, file in held.items() if path in back or not file.is_empty}
    files = [
        shown.get(path) or TableFile(path, row["size"], row["tag"])
        for path, row in there.items()
        if path not in retired
    ]
    composition = Composition(
        files=tuple(files),
        retired=tuple(file for _, file in sorted(retired.items())),
        surplus=tuple(sorted(retired.keys() - back)),
    )
    return Undoing(tuple(restored), composition)


def _before(ours: Sequence[Version]) -> dict[str, Kept | None]:
    """path -> what it held before the run; None where that was no rows."""
    found: dict[str, Kept | None] = {}
    for version in ours:
        for slot in slots(version):
            held = slot.before
            is_file = held is not None and not held.is_empty
            found.setdefault(slot.path, Kept(held, version.number) if is_file and held is not None else None)
    return found
