"""Lets go of what a run staged and replaced, and of the empty files that it left under the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raybackfill.control.proving.closing import empty_files_of, may_go
from raybackfill.model import TableFile, Version
from raybackfill.paths import RunPaths
from raybackfill.storage.listing import list_objects
from raybackfill.storage.parallel import in_parallel
from raybackfill.table import Table
from raybackfill.table.symlinks import write_symlinks


@dataclass(frozen=True)
class Freed:
    """What was removed. `left`: how many empty files stay under the target, because the store cannot be
    told to remove just those."""

    files: int
    bytes: int
    left: int


def let_go(table: Table, run: RunPaths, *, deletes_on_condition: bool) -> Freed:
    """Remove it, each object only as it was listed: what somebody puts there meanwhile stays. Safe to
    repeat. What the newest version needs to be shown by the paths is kept."""
    newest = _without_in_symlinks(table, run)
    listing = table.listing()
    shown = table.shown(newest, listing)
    going = _going(table, run, newest, shown)
    tags = {row["path"]: row["tag"] for row in listing.to_pylist()}
    empties = [file for file in empty_files_of(run.root, shown) if file.path in tags]

    def remove(item: tuple[str, str, int]) -> int:
        return item[2] if table.state_store.delete(item[0], tag=item[1]) else 0

    freed = in_parallel(remove, going)
    if not deletes_on_condition:
        return Freed(len(going), sum(freed), len(empties))
    in_parallel(lambda file: table.store.delete(table.paths.file(file.path), tag=tags[file.path]), empties)
    return Freed(len(going) + len(empties), sum(freed) + sum(file.size for file in empties), 0)


def _without_in_symlinks(table: Table, run: RunPaths) -> Version | None:
    """Let no list of a partition name a file of the run's any more. The newest version, once they do not."""
    newest = table.newest()
    while newest is not None:
        write_symlinks(table, newest, without=run.root)
        before, newest = newest, table.newest()
        if newest is None or newest.number == before.number:
            break
    return newest


def leftovers(table: Table, run: RunPaths) -> list[tuple[str, str, int]]:
    """Key, tag and size of what is left of a run that is closed, and nobody needs."""
    newest = table.newest()
    return _going(table, run, newest, table.shown(newest, table.listing()))


def _going(
    table: Table, run: RunPaths, newest: Version | None, shown: Mapping[str, TableFile]
) -> list[tuple[str, str, int]]:
    found = [(row["key"], row["tag"], row["size"]) for row in _objects(table, run)]
    going = may_go([key for key, _, _ in found], newest, shown)
    return [each for each in found if each[0] in going]


def _objects(table: Table, run: RunPaths) -> Iterator[dict[str, Any]]:
    for folder in run.let_go:
        yield from list_objects(table.state_store, folder).to_pylist()
