"""Reads the files of one version of a table: the same bytes, whatever is published meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pyarrow as pa

from raybackfill.errors import IntegrityError, TransientError
from raybackfill.model import TableFile, Version
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectInfo, ObjectStore
from raybackfill.storage.parallel import in_parallel
from raybackfill.storage.reading import RangeFile
from raybackfill.table import Table

TRIES = 5


class Snapshot:
    """A version as its readers see it. A file of it lies at its path, until a newer version replaces it
    there; where its run staged it, until that run is closed; and where the run that replaced it keeps
    it, until that one is closed."""

    def __init__(self, table: Table, version: Version) -> None:
        self._table = table
        self.version = version
        self._kept: dict[str, str] = {}
        self._looked_at = version.number

    def open(self, file: TableFile) -> pa.NativeFile:
        """A file with random access. A read that finds another object in its place goes on at the next."""
        for _ in range(TRIES):
            store, info = self.find(file)
            if store.scheme != "file":
                steady = _Steady(self, file, store, info)
                return pa.PythonFile(RangeFile(steady, info), mode="r")  # type: ignore[arg-type]
            # It may be replaced between the look and this; once open, it stays what it is.
            with suppress(IntegrityError):
                return store.open(info, whole=False)
        raise TransientError("the file is replaced again and again", where=file.path, next="read it again")

    def where(self) -> dict[str, tuple[ObjectStore, str]]:
        """path -> store and key, of all files that hold rows, as they lie now."""
        shown = self._table.shown(self.version, self._table.listing())
        others = [file for file in self.version.with_rows if file.path not in shown]
        found = zip(others, in_parallel(self.find, others), strict=True)
        elsewhere = {file.path: (store, info.key) for file, (store, info) in found}
        slots = {path: (self._table.store, self._table.paths.file(path)) for path in shown}
        return {file.path: (slots | elsewhere)[file.path] for file in self.version.with_rows}

    def find(self, file: TableFile) -> tuple[ObjectStore, ObjectInfo]:
        """Where its bytes lie now. IntegrityError where they lie nowhere any more."""
        for store, key, tag in self._places(file):
            info = store.head(key)
            if info is not None and (tag is None or file.is_shown_by(info.tag, info.size, info.stamp)):
                return store, info
        raise IntegrityError(
            f"a file of version {self.version.number} is gone: newer versions replaced it, and the runs that "
            "kept it are closed",
            where=self._table.paths.file(file.path),
            next="read the newest version: raybackfill.read_table(uri)",
        )

    def _places(self, file: TableFile) -> Iterator[tuple[ObjectStore, str, str | None]]:
        """(store, key, tag that it must have): None where the key alone says what lies there."""
        yield self._table.store, self._table.paths.file(file.path), file.tag
        if file.staged:
            yield self._table.state_store, file.staged, file.tag
        kept = self._kept_by_others(file.path)
        if kept is not None:
            yield self._table.state_store, kept, None

    def _kept_by_others(self, path: str) -> str | None:
        """Where the first newer version that replaced the path keeps what lay there. Each version is read
        once, when it is first needed."""
        if path not in self._kept:
            for version in self._table.versions_from(self._looked_at + 1):
                run = RunPaths.of_root(version.run_root)
                for retired in version.retired:
                    self._kept.setdefault(retired.path, run.previous(version.number, retired.path))
                self._looked_at = version.number
        return self._kept.get(path)


class _Steady:
    """What a RangeFile asks of a store: reads one file of a version, wherever its bytes lie by then."""

    def __init__(self, snapshot: Snapshot, file: TableFile, store: ObjectStore, info: ObjectInfo) -> None:
        self._snapshot = snapshot
        self._file = file
        self._store = store
        self._info = info

    def read(self, key: str, *, offset: int, size: int, tag: str) -> pa.Buffer:
        try:
            return self._store.read(self._info.key, offset=offset, size=size, tag=self._info.tag)
        except IntegrityError:
            self._store, self._info = self._snapshot.find(self._file)
            return self._store.read(self._info.key, offset=offset, size=size, tag=self._info.tag)
