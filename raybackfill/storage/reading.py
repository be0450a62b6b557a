"""Decides which bytes of an object to ask for, and refuses those of an object that changed."""

from __future__ import annotations

import io

import pyarrow as pa

from raybackfill.errors import IntegrityError
from raybackfill.storage import ObjectInfo, ObjectStore

BLOCK_BYTES = 8 * 1024 * 1024
"""One request of this size costs a store little more than a small one, and hides its latency."""

TAIL_BYTES = 64 * 1024
"""Holds nearly every Parquet footer."""

EMPTY = pa.py_buffer(b"")


def gone(where: str) -> IntegrityError:
    """The error for an object that was there before."""
    return IntegrityError(
        "the object is gone", where=where, next="plan again, to work with what is there now", exit_code=4
    )


def changed(where: str, was: str, tag: str) -> IntegrityError:
    """The error for an object that has another tag than the one that was pinned."""
    return IntegrityError(
        f"the object changed since the plan: its tag was {was}, and is {tag}",
        where=where,
        next="plan again, to work with what is there now",
        exit_code=4,
    )


def span(total: int, offset: int, size: int | None) -> tuple[int, int]:
    """First and one-past-last byte of a read of an object of `total` bytes: both within it."""
    first = max(total + offset, 0) if offset < 0 else min(offset, total)
    last = total if size is None else min(first + size, total)
    return first, last


class RangeFile(io.RawIOBase):
    """A readable, seekable file over one object at one tag, for callers who jump about in it.

    Reads smaller than a block fetch a block and are served from it as long as they stay inside;
    larger ones fetch just what was asked. `tail` is the object's end, where it is known already.
    At most one block and the tail are held. Not for several threads at once, but for the locking
    that `pa.PythonFile` does.
    """

    def __init__(
        self,
        store: ObjectStore,
        info: ObjectInfo,
        *,
        block_bytes: int = BLOCK_BYTES,
        tail: pa.Buffer | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._info = info
        self._block_bytes = block_bytes
        self._position = 0
        self._block = (0, EMPTY)
        end = EMPTY if tail is None else tail
        self._tail = (info.size - len(end), end)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._info.size}[whence]
        if start + offset < 0:
            raise ValueError(f"cannot seek to {start + offset}, before the object's first byte")
        self._position = start + offset
        return self._position

    def size(self) -> int:
        return self._info.size

    def read(self, size: int | None = -1) -> bytes:
        return bytes(self.read_buffer(size))

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        data = self.read_buffer(len(target))
        target[: len(data)] = memoryview(data)
        return len(data)

    def read_buffer(self, size: int | None = -1) -> pa.Buffer:
        """The next `size` bytes (all that follow, if negative or None), fewer only at the end.

        `pa.PythonFile` finds this method by its name and then copies nothing.
        """
        wanted = None if size is None or size < 0 else size
        first, last = span(self._info.size, self._position, wanted)
        data = self._between(first, last) if first < last else EMPTY
        self._position += len(data)
        return data

    def _between(self, first: int, last: int) -> pa.Buffer:
        for start, held in (self._tail, self._block):
            if start <= first and last <= start + len(held):
                return held.slice(first - start, last - first)
        if last - first >= self._block_bytes:
            return self._fetch(first, last)
        block = self._fetch(first, min(first + self._block_bytes, self._info.size))
        self._block = (first, block)
        return block.slice(0, last - first)

    def _fetch(self, first: int, last: int) -> pa.Buffer:
        data = self._store.read(self._info.key, offset=first, size=last - first, tag=self._info.tag)
        if len(data) != last - first:
            found = f"that of an object of {first + len(data)} bytes, not {self._info.size}"
            raise changed(self._info.key, self._info.tag, found)
        return data


def open_ranges(store: ObjectStore, info: ObjectInfo, *, block_bytes: int = BLOCK_BYTES) -> pa.NativeFile:
    """A file with random access over `store.read`. Nothing is asked for until the first read, which
    is an IntegrityError (exit code 4) if the object is no longer the one in `info`."""
    return pa.PythonFile(RangeFile(store, info, block_bytes=block_bytes), mode="r")


def open_tail(store: ObjectStore, info: ObjectInfo, *, tail_bytes: int = TAIL_BYTES) -> pa.NativeFile:
    """A file of the whole object's size whose last `tail_bytes` came in one request, for footers.

    Its other parts are fetched on demand, in blocks of 1 MiB: a footer that is larger costs one
    request more. An object no larger than the tail costs none after the first.
    """
    tail = store.read(info.key, offset=-tail_bytes, tag=info.tag) if info.size else EMPTY
    if len(tail) == info.size:
        return pa.BufferReader(tail)
    return pa.PythonFile(RangeFile(store, info, block_bytes=1024 * 1024, tail=tail), mode="r")
