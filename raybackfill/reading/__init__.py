"""Tables as their readers see them: one version at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyarrow import dataset as ds

from raybackfill.errors import SpecError
from raybackfill.paths import uri_of
from raybackfill.reading.dataset import dataset_of
from raybackfill.reading.document import files_document
from raybackfill.spec import StorageSpec
from raybackfill.spec.locations import read_location
from raybackfill.table import Table
from raybackfill.table.snapshot import Snapshot
from raybackfill.wiring import state_store

STORAGE = StorageSpec()


def read_table(uri: str, *, version: int | None = None, storage: StorageSpec = STORAGE) -> ds.Dataset:
    """A version of a table (the newest, if none is given) as a pyarrow Dataset: whole, whatever is published
    while it is read, until the runs that keep its files are closed. Columns that lie in the folders' names
    are texts.

    SpecError where the table has no such version.
    """
    return dataset_of(_snapshot(uri, version, storage))


def files(uri: str, *, version: int | None = None, storage: StorageSpec = STORAGE) -> list[dict[str, Any]]:
    """The files of a version that hold rows: path, uri, size, rows (None where nobody counted), tag, and the
    version that brought it."""
    found: list[dict[str, Any]] = files_of(uri, version=version, storage=storage)["files"]
    return found


def files_of(uri: str, *, version: int | None = None, storage: StorageSpec = STORAGE) -> dict[str, Any]:
    """The document of `files --json`."""
    snapshot = _snapshot(uri, version, storage)
    return files_document(read_location(uri, str(Path.cwd())), snapshot)


def _snapshot(uri: str, number: int | None, storage: StorageSpec) -> Snapshot:
    place = read_location(uri, str(Path.cwd()))
    store = state_store(place, storage)
    table = Table(store, store, place)
    version = table.newest() if number is None else table.version(number)
    if version is None:
        raise SpecError(
            "this table has no version yet" if number is None else f"this table has no version {number}",
            where=uri,
            next="it is made when a run publishes; until then read its paths",
        )
    if version.scheme not in ("", store.scheme):
        # Its run has its state in a store of another kind.
        table = Table(store, state_store(uri_of(version.scheme, version.run_root), storage), place)
    return Snapshot(table, version)
