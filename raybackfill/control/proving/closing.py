"""Decides what may go when a run is closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raybackfill.model import TableFile, Version

KINDS = (".staged", ".previous")
"""What the run staged, and what it replaced. Receipts and the journal are the record, and stay."""


def may_go(keys: Sequence[str], newest: Version | None, shown: Mapping[str, TableFile]) -> set[str]:
    """Of a run's objects those that nobody needs any more. The newest version needs the files that its
    paths do not show, whoever staged them."""
    files = newest.files if newest is not None else ()
    needed = {file.staged for file in files if file.path not in shown}
    return {key for key in keys if key.endswith(KINDS) and key not in needed}


def empty_files_of(run_root: str, shown: Mapping[str, TableFile]) -> list[TableFile]:
    """The empty files under the target that this run put there: no newer version needs one, because a path
    where nothing lies has no rows either."""
    return [file for file in shown.values() if file.is_empty and file.staged.startswith(f"{run_root}/")]
