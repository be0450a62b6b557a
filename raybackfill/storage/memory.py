"""Keeps objects in this process's memory: the reference semantics, for tests and crash injection."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

import pyarrow as pa

from raybackfill.errors import IntegrityError
from raybackfill.storage import LISTING, ObjectInfo, Page, Unfinished, allows
from raybackfill.storage.meter import Meter
from raybackfill.storage.reading import changed, gone, span


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    tag: str
    stamp: str
    modified: datetime


class MemoryStore:
    """An ObjectStore for one process. Tags are unique for each write; a copy keeps tag and stamp."""

    scheme = "memory"

    def __init__(self, meter: Meter | None = None, *, page_objects: int = 1000) -> None:
        self._meter = meter or Meter()
        self._page_objects = page_objects
        self._lock = Lock()
        self._objects: dict[str, _Object] = {}
        self._keys: list[str] = []
        self._numbers = itertools.count(1)

    def page(self, prefix: str, *, after: str | None = None, folders: bool = False) -> Page:
        self._meter.count("list")
        with self._lock:
            keys, found, more = self._entries(prefix, after, folders)
            objects = [self._objects[key] for key in keys]
        table = pa.table(
            {
                "key": keys,
                "size": [len(each.data) for each in objects],
                "tag": [each.tag for each in objects],
                "modified": [each.modified for each in objects],
            },
            schema=LISTING,
        )
        return Page(table, tuple(found), more)

    def _entries(
        self, prefix: str, after: str | None, folders: bool
    ) -> tuple[list[str], list[str], str | None]:
        keys: list[str] = []
        found: list[str] = []
        at = bisect_left(self._keys, prefix)
        if after is not None:
            at = self._following(after, folders and after != prefix)
        last: str | None = None
        while at < len(self._keys) and self._keys[at].startswith(prefix):
            if len(keys) + len(found) == self._page_objects:
                return keys, found, last
            slash = self._keys[at].find("/", len(prefix)) if folders else -1
            last = self._keys[at] if slash < 0 else self._keys[at][: slash + 1]
            (keys if slash < 0 else found).append(last)
            at = self._following(last, slash >= 0)
        return keys, found, None

    def _following(self, entry: str, may_be_folder: bool) -> int:
        """The place after a key, or after all keys of a folder (the next character after "/" is "0")."""
        if may_be_folder and entry.endswith("/"):
            return bisect_left(self._keys, entry[:-1] + "0")
        return bisect_right(self._keys, entry)

    def head(self, key: str) -> ObjectInfo | None:
        self._meter.count("head")
        with self._lock:
            return self._info(key)

    def read(
        self, key: str, *, offset: int = 0, size: int | None = None, tag: str | None = None
    ) -> pa.Buffer:
        data = self._pinned(key, tag)
        first, last = span(len(data), offset, size)
        self._meter.count("get", bytes_read=last - first)
        return pa.py_buffer(data).slice(first, last - first)

    def open(self, info: ObjectInfo, *, whole: bool) -> pa.NativeFile:
        data = self._pinned(info.key, info.tag)
        self._meter.count("get", bytes_read=len(data) if whole else 0)
        return pa.BufferReader(pa.py_buffer(data))

    def put(
        self, key: str, data: bytes, *, create: bool = False, replaces: str | None = None
    ) -> ObjectInfo | None:
        self._meter.count("put", bytes_written=len(data))
        with self._lock:
            if not allows(self._info(key), create=create, replaces=replaces):
                return None
            return self._set(key, bytes(data), stamp="")

    def upload(self, key: str, *, stamp: str) -> MemoryUpload:
        return MemoryUpload(self, key, stamp)

    def commit(
        self, key: str, data: bytes, stamp: str, *, create: bool = False, replaces: str | None = None
    ) -> ObjectInfo | None:
        """Make an upload's object visible."""
        self._meter.count("put", bytes_written=len(data))
        with self._lock:
            if not allows(self._info(key), create=create, replaces=replaces):
                return None
            return self._set(key, data, stamp)

    def copy(
        self,
        source: str,
        key: str,
        *,
        tag: str | None = None,
        create: bool = False,
        replaces: str | None = None,
    ) -> ObjectInfo | None:
        self._meter.count("copy")
        with self._lock:
            original = self._objects.get(source)
            if original is None:
                raise gone(f"memory://{source}")
            if tag is not None and original.tag != tag:
                raise changed(f"memory://{source}", tag, original.tag)
            if not allows(self._info(key), create=create, replaces=replaces):
                return None
            return self._place(key, original)

    def refuses_copy(self, source: str, key: str, *, tag: str, replaces: str | None, parts: bool) -> bool:
        try:
            return self.copy(source, key, tag=tag, create=replaces is None, replaces=replaces) is None
        except IntegrityError:
            return True

    def delete(self, key: str, *, tag: str | None = None) -> bool:
        self._meter.count("delete")
        with self._lock:
            there = self._objects.get(key)
            if there is not None and tag is not None and there.tag != tag:
                return False
            if self._objects.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]
            return True

    def refuses_delete(self, key: str, *, tag: str) -> bool:
        return not self.delete(key, tag=tag)

    def uploads(self, prefix: str) -> list[Unfinished]:
        return []

    def abandon(self, key: str, upload: str) -> None:
        pass

    def _pinned(self, key: str, tag: str | None) -> bytes:
        with self._lock:
            there = self._objects.get(key)
        if there is None:
            raise gone(f"memory://{key}")
        if tag is not None and there.tag != tag:
            raise changed(f"memory://{key}", tag, there.tag)
        return there.data

    def _info(self, key: str) -> ObjectInfo | None:
        there = self._objects.get(key)
        return None if there is None else ObjectInfo(key, len(there.data), there.tag, there.stamp)

    def _set(self, key: str, data: bytes, stamp: str) -> ObjectInfo:
        return self._place(key, _Object(data, f"m{next(self._numbers):08x}", stamp, datetime.now(UTC)))

    def _place(self, key: str, value: _Object) -> ObjectInfo:
        if key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = value
        return ObjectInfo(key, len(value.data), value.tag, value.stamp)


class MemoryUpload:
    """Bytes gathered in memory until `commit`."""

    def __init__(self, store: MemoryStore, key: str, stamp: str) -> None:
        self._store = store
        self._key = key
        self._stamp = stamp
        self._data = bytearray()

    def write(self, data: bytes | memoryview | pa.Buffer) -> None:
        self._data += memoryview(data).cast("B")

    def commit(self, *, create: bool = False, replaces: str | None = None) -> ObjectInfo | None:
        data = bytes(self._data)
        return self._store.commit(self._key, data, self._stamp, create=create, replaces=replaces)

    def abort(self) -> None:
        self._data.clear()
