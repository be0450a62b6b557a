"""One door to bytes: every byte of user data and state passes an ObjectStore.

No engine or library opens a URI by itself, so that pinning, throttling, retries, counting and
crash injection see every request.

A key is absolute within its store: `bucket/folder/name` on S3, `/folder/name` on a local disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

LISTING = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("tag", pa.string(), nullable=False),
        pa.field("modified", pa.timestamp("us", "UTC")),
    ]
)
"""A listing is Arrow data, never a list of dicts: a million objects are 100 MB, not a gigabyte."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a store says of one object. `tag` changes whenever the content is written anew.

    On S3 the tag is the ETag without quotes; on a local disk it is made of the modification time
    in nanoseconds and the size, which a hard link or a rename keeps.
    """

    key: str
    size: int
    tag: str
    stamp: str = ""


@dataclass(frozen=True)
class Page:
    """One answer to a listing: objects (LISTING), folders below the prefix, and where to go on."""

    objects: pa.Table
    folders: tuple[str, ...]
    after: str | None


@dataclass(frozen=True)
class Unfinished:
    """A large object whose upload was begun and neither finished nor given up; `id` names that upload."""

    key: str
    id: str


class Upload(Protocol):
    """A new object that nobody sees until `commit`. Leaving without it leaves nothing visible."""

    def write(self, data: bytes | memoryview | pa.Buffer) -> None: ...

    def commit(self, *, create: bool = False, replaces: str | None = None) -> ObjectInfo | None:
        """Make it visible, at once. With `create` only where there is none, with `replaces` only over
        that tag: None where that does not hold, and it is thrown away."""

    def abort(self) -> None: ...


class ObjectStore(Protocol):
    """The verbs. Errors: SpecError (no such bucket, no permission: fix and rerun), TransientError
    (worth another try), IntegrityError with exit code 4 (an object is gone or has another tag than
    the one asked for). `None` as an answer is a result, not an error.
    """

    scheme: str

    def page(self, prefix: str, *, after: str | None = None, folders: bool = False) -> Page:
        """One page of the objects whose key starts with `prefix`, in key order, one request.

        With `folders`, keys with a further "/" after the prefix are given as folders (each ending
        in "/"), as a delimiter does. `after` is the last page's `after`. A prefix under which
        nothing lies is an empty page; a bucket that does not exist is a SpecError.
        """

    def head(self, key: str) -> ObjectInfo | None:
        """The object's size, tag and stamp, or None where there is none."""

    def read(
        self, key: str, *, offset: int = 0, size: int | None = None, tag: str | None = None
    ) -> pa.Buffer:
        """The bytes from `offset`, `size` of them or all that follow; with a negative offset the
        last -offset bytes (all of them, where there are fewer). With `tag`, IntegrityError (exit
        code 4) unless the object still has it."""

    def open(self, info: ObjectInfo, *, whole: bool) -> pa.NativeFile:
        """A file with random access to exactly this object (its tag is checked). `whole` says that
        most of it will be read, so that it is worth one request. A local file is a memory map."""

    def put(
        self, key: str, data: bytes, *, create: bool = False, replaces: str | None = None
    ) -> ObjectInfo | None:
        """Write a small object durably. With `create` only where there is none, with `replaces`
        only over that tag: None where that does not hold."""

    def upload(self, key: str, *, stamp: str) -> Upload:
        """Begin a large object. `stamp` is kept with it where the store has metadata (S3)."""

    def copy(
        self,
        source: str,
        key: str,
        *,
        tag: str | None = None,
        create: bool = False,
        replaces: str | None = None,
    ) -> ObjectInfo | None:
        """Copy within the store without reading, stamp included; replaces `key` atomically. With `tag`,
        IntegrityError (exit code 4) unless the source still has it. With `create` only where there is
        none, with `replaces` only over that tag: None where that does not hold.

        A store that knows no such conditions is looked at before it is written: then an object that
        comes between the two is replaced. `refuses_copy` tells which kind it is."""

    def refuses_copy(self, source: str, key: str, *, tag: str, replaces: str | None, parts: bool) -> bool:
        """Whether the store itself refuses a copy whose conditions do not hold: the source has not `tag`,
        or `key` has not the tag `replaces` (with None: is there at all). `parts`: as it copies the largest
        objects. It is found out by trying, and where it is not so, `key` is replaced."""

    def delete(self, key: str, *, tag: str | None = None) -> bool:
        """Remove the object; one that is not there is no error. With `tag` only that one: False where
        another is there. A store that knows no such condition is looked at before."""

    def refuses_delete(self, key: str, *, tag: str) -> bool:
        """Whether the store itself refuses to remove an object that has not this tag. It is found out by
        trying, and where it is not so, the object is gone."""

    def uploads(self, prefix: str) -> list[Unfinished]:
        """Uploads below the prefix that were begun and not ended: of a process that died, or one that is
        still at it. None where a store has no such thing."""

    def abandon(self, key: str, upload: str) -> None:
        """Throw an unfinished upload away; one that is gone is no error."""


def allows(there: ObjectInfo | None, *, create: bool, replaces: str | None) -> bool:
    """Whether the conditions of a write hold for what is there."""
    if create:
        return there is None
    return replaces is None or (there is not None and there.tag == replaces)
