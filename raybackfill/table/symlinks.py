"""Writes, for each partition, the list of its files that Hive, Athena and Trino read (symlink.txt)."""

from __future__ import annotations

from collections.abc import Iterable

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
    prefix = table.paths.symlinks
    there = {folder_of(key[len(prefix) :]) for key in list_objects(table.store, prefix)["key"].to_pylist()}
    files: dict[str, list[TableFile]] = {}
    for file in version.with_rows:
        files.setdefault(folder_of(file.path), []).append(file)
    if without:
        changed = {folder for folder, found in files.items() if any(_lies_in(f, without) for f in found)}
    else:
        changed = {folder_of(slot.path) for slot in slots(version)}
    wanted = sorted(changed | (files.keys() - there))
    in_parallel(lambda folder: _write(table, version, folder, files.get(folder, ()), without), wanted)


def _write(table: Table, version: Version, folder: str, files: Iterable[TableFile], without: str) -> None:
    key = table.paths.symlink(folder)
    for _ in range(TRIES):
        there = table.store.head(key)
        # In this order: a newer version's list that comes after this look has another tag by then.
        if table.has_version(version.number + 1):
            return
        tag = None if there is None else there.tag
        data = "".join(_place(table, file, without) + "\n" for file in files).encode()
        if table.store.put(key, data, create=tag is None, replaces=tag) is not None:
            return
    raise TransientError("the list of a partition is changed again and again", where=key, next="try again")


def _place(table: Table, file: TableFile, without: str) -> str:
    """Where it was staged, as long as it lies there, and in a store that readers of the table can reach."""
    if file.staged and table.state_store.scheme == table.store.scheme and not _lies_in(file, without):
        staged = table.state_store.head(file.staged)
        if staged is not None and staged.tag == file.tag:
            return uri_of(table.store.scheme, file.staged)
    return uri_of(table.store.scheme, table.paths.file(file.path))


def _lies_in(file: TableFile, root: str) -> bool:
    return bool(root) and file.staged.startswith(f"{root}/")
