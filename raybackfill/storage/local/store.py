"""Keeps objects as files: the verbs of an ObjectStore on a disk.

Nothing of ours may stand in a table's folder, not for a moment: readers who list it would take a
half-written file for data. So temporary files lie in a scratch folder, and a file comes to its key
by a link or a rename, which the file system does at once. Folders are not removed with their last
file, because another writer may be about to put one there; `prune_empty_folders` does that when
nobody writes.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from raybackfill.errors import IntegrityError, SpecError
from raybackfill.storage import LISTING, ObjectInfo, Page, Unfinished, allows
from raybackfill.storage.local import files
from raybackfill.storage.local.files import tag_of, translating
from raybackfill.storage.local.walk import OURS, Found, walk
from raybackfill.storage.meter import Meter
from raybackfill.storage.reading import EMPTY, changed, gone, span

PAGE_OBJECTS = 50_000
"""A page of the listing is about 8 MB. Each page reads the names of the folders it is in again."""

BUFFER_BYTES = 1024 * 1024


class LocalStore:
    """An ObjectStore whose keys are absolute paths. What a verb has written is on the disk when it
    returns: the file is synced, and the folder that names it.

    `scratch` is a folder for temporary files on the file system of the keys; without it, or where
    it is on another one, they lie beside the key under a name that listings skip.
    """

    scheme = "file"

    def __init__(self, meter: Meter | None = None, *, scratch: str | None = None) -> None:
        self._meter = meter or Meter()
        self._scratch = None if scratch is None else Path(scratch)

    def page(self, prefix: str, *, after: str | None = None, folders: bool = False) -> Page:
        if not prefix.startswith("/"):
            raise SpecError("not an absolute path", where=prefix, next="write it like /folder/name")
        self._meter.count("list")
        with translating(prefix):
            found = list(islice(walk(prefix, after=after, folders=folders), PAGE_OBJECTS + 1))
        more = len(found) > PAGE_OBJECTS
        found = found[:PAGE_OBJECTS]
        below = tuple(each.key for each in found if each.key.endswith("/"))
        files = [each for each in found if not each.key.endswith("/")]
        return Page(_listing(files), below, found[-1].key if more else None)

    def head(self, key: str) -> ObjectInfo | None:
        """As promised; a file keeps no stamp."""
        self._meter.count("head")
        with translating(key):
            return files.info_of(Path(_checked(key)))

    def read(
        self, key: str, *, offset: int = 0, size: int | None = None, tag: str | None = None
    ) -> pa.Buffer:
        with translating(key), _opened(key) as file:
            there = os.fstat(file.fileno())
            _check(key, tag, there)
            first, last = span(there.st_size, offset, size)
            buffer = pa.allocate_buffer(last - first)
            file.seek(first)
            received = file.readinto(memoryview(buffer).cast("B")) if last > first else 0  # type: ignore[attr-defined]
        if received != last - first:
            raise changed(key, tag_of(there), f"that of a shorter file ({first + received} bytes)")
        self._meter.count("get", bytes_read=received)
        return buffer

    def open(self, info: ObjectInfo, *, whole: bool) -> pa.NativeFile:
        """As promised, as a memory map: the file stays this one even if its key gets another."""
        self._meter.count("get", bytes_read=info.size if whole else 0)
        with translating(info.key), _opened(info.key) as file:
            _check(info.key, info.tag, os.fstat(file.fileno()))
            if info.size == 0:
                return pa.BufferReader(EMPTY)
            mapped = pa.memory_map(info.key)
            _check(info.key, info.tag, os.fstat(mapped.fileno()))
            return mapped

    def put(
        self, key: str, data: bytes, *, create: bool = False, replaces: str | None = None
    ) -> ObjectInfo | None:
        self._meter.count("put", bytes_written=len(data))
        with translating(key), self._temporary(key) as (temporary, file):
            file.write(data)
            files.finish(file)
            if create:
                return files.create(temporary, Path(key))
            return files.replace(temporary, Path(key), replaces=replaces)

    def upload(self, key: str, *, stamp: str) -> LocalUpload:
        """As promised; the stamp is not kept."""
        with translating(key):
            return LocalUpload(key, *self._new_temporary(key), self._meter)

    def copy(
        self,
        source: str,
        key: str,
        *,
        tag: str | None = None,
        create: bool = False,
        replaces: str | None = None,
    ) -> ObjectInfo | None:
        """As promised: a second link to the same file, or where that cannot be, a real copy that
        keeps the modification time and so the tag. `replaces` is looked at under the folder's lock, which
        all of ours take: only a writer who does not, or a file system without locks, can come between
        that look and the rename."""
        self._meter.count("copy")
        if source == key:
            return self._onto_itself(key, tag, create, replaces)
        with translating(key):
            temporary = self._temporary_path(key)
            try:
                files.duplicate(Path(source), temporary)
                _check(source, tag, temporary.stat())
                if create:
                    return files.create(temporary, Path(key))
                return files.replace(temporary, Path(key), replaces=replaces)
            finally:
                temporary.unlink(missing_ok=True)

    def _onto_itself(
        self, key: str, tag: str | None, create: bool, replaces: str | None
    ) -> ObjectInfo | None:
        there = self.head(key)
        if there is None:
            raise gone(key)
        if tag is not None and there.tag != tag:
            raise changed(key, tag, there.tag)
        return there if allows(there, create=create, replaces=replaces) else None

    def refuses_copy(self, source: str, key: str, *, tag: str, replaces: str | None, parts: bool) -> bool:
        try:
            return self.copy(source, key, tag=tag, create=replaces is None, replaces=replaces) is None
        except IntegrityError:
            return True

    def delete(self, key: str, *, tag: str | None = None) -> bool:
        """As promised; `tag` is looked at under the folder's lock, as by `copy`. A delete that a power
        failure undoes leaves an object more, which is no harm, so that the folder is not synced."""
        self._meter.count("delete")
        path = Path(_checked(key))
        with translating(key), suppress(FileNotFoundError, NotADirectoryError), files.locked(path.parent):
            if tag is not None and files.tag_of(path.stat()) != tag:
                return False
            path.unlink()
        return True

    def refuses_delete(self, key: str, *, tag: str) -> bool:
        return not self.delete(key, tag=tag)

    def uploads(self, prefix: str) -> list[Unfinished]:
        """None: the temporary files of a process that died do not say for which key they were."""
        return []

    def abandon(self, key: str, upload: str) -> None:
        pass

    def _temporary_path(self, key: str) -> Path:
        """A new name on the key's file system; the key's folder exists afterwards."""
        folder = Path(_checked(key)).parent
        files.make_folder(folder)
        if self._scratch is not None:
            files.make_folder(self._scratch)
            if self._scratch.stat().st_dev == folder.stat().st_dev:
                folder = self._scratch
        return folder / f"{OURS}{uuid.uuid4().hex}"

    def _new_temporary(self, key: str) -> tuple[Path, BinaryIO]:
        path = self._temporary_path(key)
        return path, path.open("xb", buffering=BUFFER_BYTES)

    @contextmanager
    def _temporary(self, key: str) -> Iterator[tuple[Path, BinaryIO]]:
        path, file = self._new_temporary(key)
        try:
            with file:
                yield path, file
        finally:
            path.unlink(missing_ok=True)


class LocalUpload:
    """A file in the making, under a temporary name until `commit` has synced and placed it."""

    def __init__(self, key: str, temporary: Path, file: BinaryIO, meter: Meter) -> None:
        self._key = key
        self._temporary = temporary
        self._file = file
        self._meter = meter

    def write(self, data: bytes | memoryview | pa.Buffer) -> None:
        with translating(self._key):
            self._file.write(data)

    def commit(self, *, create: bool = False, replaces: str | None = None) -> ObjectInfo | None:
        key = Path(self._key)
        with translating(self._key):
            files.finish(self._file)
            self._file.close()
            if create:
                made = files.create(self._temporary, key)
            else:
                made = files.replace(self._temporary, key, replaces=replaces)
            self._temporary.unlink(missing_ok=True)
        self._meter.count("put", bytes_written=made.size if made is not None else 0)
        return made

    def abort(self) -> None:
        # Closing writes what is buffered, which a full disk refuses; the file goes all the same.
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)


def prune_empty_folders(root: str) -> None:
    """Remove the folders below `root` that hold no file at any depth; `root` itself stays. Only for
    times when nobody writes there: a writer may just have made a folder for its file."""
    with translating(root):
        for folder, _, _ in os.walk(root, topdown=False):
            if folder != root:
                with suppress(OSError):
                    Path(folder).rmdir()


def _checked(key: str) -> str:
    """The key, if it is one that a file can have."""
    if not key.startswith("/") or key.endswith("/") or "\0" in key:
        raise SpecError("not the absolute path of a file", where=key, next="write it like /folder/name")
    return key


@contextmanager
def _opened(key: str) -> Iterator[BinaryIO]:
    try:
        file = Path(_checked(key)).open("rb", buffering=0)  # noqa: SIM115  (closed below)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise gone(key) from None
    with file:
        yield file


def _check(key: str, tag: str | None, there: os.stat_result) -> None:
    if tag is not None and tag_of(there) != tag:
        raise changed(key, tag, tag_of(there))


def _listing(found: list[Found]) -> pa.Table:
    modified = pa.array([each.modified_ns // 1000 for each in found], pa.int64())
    return pa.table(
        {
            "key": [each.key for each in found],
            "size": [each.size for each in found],
            "tag": [f"{each.modified_ns:x}-{each.size:x}" for each in found],
            "modified": modified.cast(pa.timestamp("us", "UTC")),
        },
        schema=LISTING,
    )
