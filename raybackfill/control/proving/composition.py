"""Decides what the next version of a table is made of: staged files, kept files, retired files."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import pyarrow as pa

from raybackfill.model import StagedFile, TableFile, Version
from raybackfill.paths import appended, slot

NAMED_MAX = 5
NOTHING_SHOWN: Mapping[str, TableFile] = {}
NUMBERED: Mapping[str, str] = {}

TARGET_CHANGED = "target unchanged"
"""The gate that refuses a publish over files which others changed since the plan."""

PINNED = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("tag", pa.string()),
        pa.field("folder", pa.string()),
    ]
)


@dataclass(frozen=True)
class Composition:
    """The files of the next version, or the gate that refuses it and its reason. `surplus`: the paths
    that held rows and are left without: each gets an empty file."""

    files: tuple[TableFile, ...] = ()
    retired: tuple[TableFile, ...] = ()
    surplus: tuple[str, ...] = ()
    refused_by: str = ""
    reason: str = ""
    next: str = ""

    def files_with(self, empty: TableFile | None) -> tuple[TableFile, ...]:
        """All files of the version. `empty`: the empty file, where there is a surplus."""
        empties = [replace(empty, path=path) for path in self.surplus] if empty is not None else []
        return tuple(sorted([*self.files, *empties], key=lambda file: file.path))


def compose(
    staged: Mapping[str, Sequence[StagedFile]],
    current: pa.Table,
    pinned: pa.Table,
    *,
    on_empty: str,
    number: int = 1,
    shown: Mapping[str, TableFile] = NOTHING_SHOWN,
    run_id: str = "",
    units: Mapping[str, str] = NUMBERED,
) -> Composition:
    """Bring together what units staged with what the table holds.

    `staged`: attempt -> its files, in the order of the units. `current`: path, size, tag of all
    files under the target now. `shown`: path -> the file of the newest version that is there. `pinned`:
    path, size, tag and folder of the files that the plan replaces, as it saw them. `number` is that of
    the version. `units` (attempt -> unit) is given where files are added beside those that are there, by
    names of their run and unit; else they are numbered by folder, and replace all in it. Refused where
    these changed since, or where a folder would be left without rows.
    """
    replaced = {row["path"]: row for row in pinned.to_pylist()}
    there = {row["path"]: row for row in current.to_pylist()}
    found = {path: row for path, row in there.items() if not (path in shown and shown[path].is_empty)}
    new = _beside(staged, number, run_id, units) if units else _slots(staged, number)
    taken = {file.path for file in new} if units else _within(found, new, replaced)
    changed = _changed(replaced, found, taken)
    if changed:
        return Composition(
            refused_by=TARGET_CHANGED,
            reason=f"files of the target changed since the plan: {named(changed)}",
            next="plan again what changed: raybackfill resume RUN --replan-changed; "
            "or all of it anew: raybackfill run CONFIG --new",
        )
    if not new and on_empty == "error":
        return Composition(
            refused_by="some rows",
            reason="no unit gave a single row",
            next="look at source.where, the scope and the job, or say target.on_empty: keep | remove",
        )
    empty = sorted({row["folder"] for row in replaced.values()} - {folder_of(file.path) for file in new})
    if empty and on_empty == "error":
        return Composition(
            refused_by="no partition left empty",
            reason=f"{len(empty)} partition(s) in scope get no rows: {named(empty)}",
            next="narrow the scope, or say target.on_empty: keep | remove",
        )
    kept_folders = set(empty) if on_empty == "keep" else set()
    return _composed(new, there, [r for r in replaced.values() if r["folder"] not in kept_folders], shown)


def _composed(
    new: Sequence[TableFile],
    there: Mapping[str, Mapping[str, object]],
    replaced: Sequence[Mapping[str, object]],
    shown: Mapping[str, TableFile],
) -> Composition:
    """New files go to their paths, whether these held rows or an empty file; what else is replaced leaves
    a surplus, and all others stay as they are."""
    paths = {file.path for file in new}
    retired = {str(row["path"]): _table_file(row) for row in replaced}
    filled = {path: shown[path] for path in paths & there.keys() - retired.keys()}
    retired |= {path: replace(file, tag=str(there[path]["tag"])) for path, file in filled.items()}
    kept = [shown.get(path) or _table_file(row) for path, row in there.items() if path not in retired]
    return Composition(
        files=tuple(sorted([*kept, *new], key=lambda file: file.path)),
        retired=tuple(sorted(retired.values(), key=lambda file: file.path)),
        surplus=tuple(sorted(retired.keys() - paths)),
    )


def pinned_again(
    version: Version, current: pa.Table, rejected: Container[str], shown: Mapping[str, TableFile]
) -> pa.Table:
    """The same as `pinned` for a run that publishes once more, over a version of its own: the files that
    it brought, those of `rejected` attempts as they are now, because these were found damaged. `current`
    and `shown`: what its paths hold now, and which of it is the version's."""
    found = {row["path"]: row for row in current.to_pylist()}
    rows = []
    for file in version.files:
        if file.since != version.number or file.is_empty:
            continue
        as_it_is = file.stamp in rejected or file.path in shown
        now = found.get(file.path) if as_it_is else {"size": file.size, "tag": file.tag}
        if now is not None:
            folder = folder_of(file.path)
            rows.append({"path": file.path, "size": now["size"], "tag": now["tag"], "folder": folder})
    return pa.Table.from_pylist(rows, PINNED)


def _slots(staged: Mapping[str, Sequence[StagedFile]], number: int) -> list[TableFile]:
    """Number the files of each folder in the order of units: the same receipts give the same names."""
    files = [
        (file.partition, order, attempt, file)
        for order, (attempt, group) in enumerate(staged.items())
        for file in group
    ]
    files.sort(key=lambda item: (item[0], item[1], item[3].key))
    return [
        TableFile(slot(folder, index), file.size, file.tag, file.rows, attempt, file.key, number)
        for folder, group in groupby(files, key=lambda item: item[0])
        for index, (_, _, attempt, file) in enumerate(group)
    ]


def _beside(
    staged: Mapping[str, Sequence[StagedFile]], number: int, run_id: str, units: Mapping[str, str]
) -> list[TableFile]:
    """Name the files by run and unit: whatever else lies there, the same receipts give the same names."""
    return [
        TableFile(
            appended(file.partition, run_id, units[attempt], index),
            file.size,
            file.tag,
            file.rows,
            attempt,
            file.key,
            number,
        )
        for attempt, files in staged.items()
        for index, file in enumerate(sorted(files, key=lambda file: file.key))
    ]


def _within(
    found: Iterable[str], new: Iterable[TableFile], replaced: Mapping[str, Mapping[str, object]]
) -> set[str]:
    """The paths that lie in the folders of this publish."""
    folders = {row["folder"] for row in replaced.values()} | {folder_of(file.path) for file in new}
    return {path for path in found if folder_of(path) in folders}


def _changed(
    replaced: Mapping[str, Mapping[str, object]], found: Mapping[str, Mapping[str, object]], taken: set[str]
) -> list[str]:
    """Paths of this publish that are gone, new, or other than the plan saw them; `taken` are those that
    nobody else may have."""
    gone = [path for path, row in replaced.items() if found.get(path, {}).get("tag") != row["tag"]]
    new = [path for path in found if path not in replaced and path in taken]
    return sorted(gone + new)


def _table_file(row: Mapping[str, object]) -> TableFile:
    return TableFile(str(row["path"]), int(str(row["size"])), str(row["tag"]))


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def named(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(name or "(the table's root)" for name in names[:NAMED_MAX])
    return shown if len(names) <= NAMED_MAX else f"{shown} and {len(names) - NAMED_MAX} more"
