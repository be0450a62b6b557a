"""Decides what the next version of a table is made of: staged files, kept files, retired files."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from raybackfill.model import StagedFile, TableFile, Version
from raybackfill.paths import slot

NAMED_MAX = 5

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
    """The files of the next version, or the gate that refuses it and its reason."""

    files: tuple[TableFile, ...] = ()
    retired: tuple[TableFile, ...] = ()
    refused_by: str = ""
    reason: str = ""
    next: str = ""


def compose(
    staged: Mapping[str, Sequence[StagedFile]],
    current: pa.Table,
    pinned: pa.Table,
    *,
    on_empty: str,
) -> Composition:
    """Bring together what units staged with what the table holds.

    `staged`: attempt -> its files, in the order of the units. `current`: path, size, tag of all
    files under the target now. `pinned`: the same (and folder) of the files that the plan replaces,
    as it saw them. Refused where these changed since, or where a folder would be left without rows.
    """
    replaced = {row["path"]: row for row in pinned.to_pylist()}
    found = {row["path"]: row for row in current.to_pylist()}
    new = _slots(staged)
    folders = {row["folder"] for row in replaced.values()} | {_folder(file.path) for file in new}
    changed = _changed(replaced, found, folders)
    if changed:
        return Composition(
            refused_by=TARGET_CHANGED,
            reason=f"files of the target changed since the plan: {_named(changed)}",
            next="plan again what changed: raybackfill resume RUN --replan-changed; "
            "or all of it anew: raybackfill run CONFIG --new",
        )
    if not new and on_empty == "error":
        return Composition(
            refused_by="some rows",
            reason="no unit gave a single row",
            next="look at source.where, the scope and the job, or say target.on_empty: keep | remove",
        )
    empty = sorted({row["folder"] for row in replaced.values()} - {_folder(file.path) for file in new})
    if empty and on_empty == "error":
        return Composition(
            refused_by="no partition left empty",
            reason=f"{len(empty)} partition(s) in scope get no rows: {_named(empty)}",
            next="narrow the scope, or say target.on_empty: keep | remove",
        )
    kept_folders = set(empty) if on_empty == "keep" else set()
    retired = [row for row in replaced.values() if row["folder"] not in kept_folders]
    retired_paths = {row["path"] for row in retired}
    kept = [_table_file(row) for path, row in found.items() if path not in retired_paths]
    return Composition(
        files=tuple(sorted([*kept, *new], key=lambda file: file.path)),
        retired=tuple(sorted((_table_file(row) for row in retired), key=lambda file: file.path)),
    )


def pinned_again(version: Version, current: pa.Table, rejected: Container[str]) -> pa.Table:
    """The same as `pinned` for a run that publishes once more, over a version of its own: the files that
    it brought, those of `rejected` attempts as they are now, because these were found damaged."""
    found = {row["path"]: row for row in current.to_pylist()}
    rows = []
    for file in version.files:
        if not file.staged:
            continue
        now = found.get(file.path) if file.stamp in rejected else {"size": file.size, "tag": file.tag}
        if now is not None:
            rows.append(
                {"path": file.path, "size": now["size"], "tag": now["tag"], "folder": _folder(file.path)}
            )
    return pa.Table.from_pylist(rows, PINNED)


def _slots(staged: Mapping[str, Sequence[StagedFile]]) -> list[TableFile]:
    """Number the files of each folder in the order of units: the same receipts give the same names."""
    files = [
        (file.partition, order, attempt, file)
        for order, (attempt, group) in enumerate(staged.items())
        for file in group
    ]
    files.sort(key=lambda item: (item[0], item[1], item[3].key))
    return [
        TableFile(slot(folder, index), file.size, file.tag, file.rows, attempt, file.key)
        for folder, group in groupby(files, key=lambda item: item[0])
        for index, (_, _, attempt, file) in enumerate(group)
    ]


def _changed(
    replaced: Mapping[str, Mapping[str, object]], found: Mapping[str, Mapping[str, object]], folders: set[str]
) -> list[str]:
    """Paths in the folders of this publish that are gone, new, or other than the plan saw them."""
    gone = [path for path, row in replaced.items() if found.get(path, {}).get("tag") != row["tag"]]
    new = [path for path in found if path not in replaced and _folder(path) in folders]
    return sorted(gone + new)


def _table_file(row: Mapping[str, object]) -> TableFile:
    return TableFile(str(row["path"]), int(str(row["size"])), str(row["tag"]))


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _named(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(name or "(the table's root)" for name in names[:NAMED_MAX])
    return shown if len(names) <= NAMED_MAX else f"{shown} and {len(names) - NAMED_MAX} more"
