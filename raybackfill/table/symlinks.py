"""Writes, for each partition, the list of its files that Hive, Athena and Trino read (symlink.txt)."""

from __future__ import annotations

from collections.abc import Mapping

from raybackfill.control.proving.composition import folder_of
from raybackfill.control.proving.slots import slots
from raybackfill.errors import TransientError
from raybackfill.model import TableFile, Version
from raybackfill.paths import uri_of
from raybackfill.storage.listing import list_objects
from raybackfill.storage.parallel import in_parallel
from raybackfill.table import Table

TRIES = 5


def write_symlinks(table: Table, version: Version, *, without: str = "") -> None:
    """Bring the lists to the version: those of the partitions that it changes, and those that are not there
    yet. Files are named where they were staged, because nobody changes them there: so a list shows
    one version of its partition as long as it stands. `without`: a run's root, under which nothing is
    named any more; then all lists that did are written again.

    Where a newer version stands, the lists are that one's.
    """
    files: dict[str, list[TableFile]] = {}
    for file in version.with_rows:
        files.setdefault(folder_of(file.path), []).append(file)
    if without:
        changed = {folder for folder, found in files.items() if any(_lies_in(f, without) for f in found)}
    else:
        changed = {folder_of(slot.path) for slot in slots(version)}
    there = _lists(table)
    waiting = sorted(changed | (files.keys() - there.keys()))
    for _ in range(TRIES):
        # In this order: a list that a newer version writes after this look has another tag by then.
        if not waiting or table.has_version(version.number + 1):
            return

        def written(folder: str, there: Mapping[str, str] = there) -> bool:
            lines = [_place(table, version, file, without) + "\n" for file in files.get(folder, ())]
            key, tag = table.paths.symlink(folder), there.get(folder)
            return table.store.put(key, "".join(lines).encode(), create=tag is None, replaces=tag) is not None

        done = in_parallel(written, waiting)
        waiting = [folder for folder, is_written in zip(waiting, done, strict=True) if not is_written]
        there = _lists(table) if waiting else there
    if waiting:
        raise TransientError(
            "the list of a partition is changed again and again",
            where=table.paths.symlink(waiting[0]),
            next="try again",
        )


def _lists(table: Table) -> dict[str, str]:
    """folder -> tag of its list."""
    prefix = table.paths.symlinks
    found = list_objects(table.store, prefix)
    return {
        folder_of(key[len(prefix) :]): tag
        for key, tag in zip(found["key"].to_pylist(), found["tag"].to_pylist(), strict=True)
    }


def _place(table: Table, version: Version, file: TableFile, without: str) -> str:
    """Where it was staged, as long as it lies there, and in a store that readers of the table can reach."""
    if file.staged and table.state_store.scheme == table.store.scheme and not _lies_in(file, without):
        staged = None if file.since == version.number else table.state_store.head(file.staged)
        if file.since == version.number or (staged is not None and staged.tag == file.tag):
            return uri_of(table.store.scheme, file.staged)
    return uri_of(table.store.scheme, table.paths.file(file.path))


def _lies_in(file: TableFile, root: str) -> bool:
    return bool(root) and file.staged.startswith(f"{root}/")
