"""Reads objects through fsspec, from any filesystem that it knows: gs://, abfs://, sftp://, memory://.

Nothing is written: the fence, the journal and a publish need conditional writes, which fsspec has not.
A filesystem takes its credentials from its own environment and fsspec's config files.

Keys are URLs without "scheme://". fsspec has its own form of a path for each filesystem, with or
without a slash, a host, the whole URL: `_place` and `_below` are where one becomes the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
from fsspec import AbstractFileSystem, get_filesystem_class

from raybackfill.errors import RaybackfillError, SpecError, TransientError
from raybackfill.storage import LISTING, ObjectInfo, Page, Unfinished, Upload
from raybackfill.storage.meter import Meter
from raybackfill.storage.pins import modified_microseconds, tag_of
from raybackfill.storage.reading import EMPTY, changed, gone, open_ranges, span

PAGE_OBJECTS = 50_000
WHOLE_BYTES_MAX = 64 * 1024 * 1024
"""Objects up to here are fetched in one request when most of them will be read."""

WEB = ("http", "https")
NOTHING_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
MISSING_STATUS = frozenset({404, 410})
REFUSED_STATUS = frozenset({401, 403})


@dataclass(frozen=True)
class _Listing:
    """What is left of a listing: objects (LISTING) and folders, both in the order of keys."""

    objects: pa.Table
    folders: tuple[str, ...]

    def behind(self, after: str | None) -> _Listing:
        if after is None:
            return self
        objects = self.objects.filter(pc.greater(self.objects["key"], after))
        return _Listing(objects, tuple(folder for folder in self.folders if folder > after))

    def page(self, entries: int) -> Page:
        if self.objects.num_rows + len(self.folders) <= entries:
            return Page(self.objects, self.folders, None)
        names = sorted([*self.objects["key"].slice(0, entries).to_pylist(), *self.folders[:entries]])
        last = names[entries - 1]
        objects = self.objects.filter(pc.less_equal(self.objects["key"], last))
        return Page(objects, tuple(folder for folder in self.folders if folder <= last), last)


class FsspecStore:
    """The part of an ObjectStore that reads; what writes is a SpecError. Threads may share it.

    Tags are those of `pins`: an object of which the filesystem says nothing that changes with its
    content is refused, because a plan could not hold it. fsspec cannot ask for an object at a tag, so
    that the tag is looked at after the bytes came, which sees every change since the plan.

    The meter counts calls of fsspec: a listing of a folder as one "list", whatever number of requests
    it takes, a look as one "head", a range as one "get". fsspec hides what it really sends, retries
    among it. A folder or bucket that does not exist looks like an empty one.
    """

    def __init__(self, scheme: str, meter: Meter | None = None, *, page_objects: int = PAGE_OBJECTS) -> None:
        self.scheme = scheme
        self._meter = meter or Meter()
        self._page_objects = page_objects
        self._listed: dict[tuple[str, bool], _Listing] = {}

    def page(self, prefix: str, *, after: str | None = None, folders: bool = False) -> Page:
        """As promised, out of a whole listing: the first page makes it, the last one forgets it."""
        if self.scheme in WEB:
            raise SpecError(
                "no file lies there, and a web server does not list folders",
                where=self._url(prefix),
                next="write the URL of one file",
            )
        listing = self._listed.pop((prefix, folders), None) if after is not None else None
        rest = (listing or self._list(prefix, folders)).behind(after)
        page = rest.page(self._page_objects)
        if page.after is not None:
            self._listed[prefix, folders] = rest
        return page

    def head(self, key: str) -> ObjectInfo | None:
        """As promised; there is no stamp."""
        return self._look(key)

    def read(
        self, key: str, *, offset: int = 0, size: int | None = None, tag: str | None = None
    ) -> pa.Buffer:
        if offset < 0:
            there = self._checked(key, tag)
            first, last = span(there.size, offset, size)
            return self.read(key, offset=first, size=last - first, tag=there.tag)
        try:
            data = self._fetch(key, offset, size)
        except RaybackfillError:
            # That it changed, went or ends before the range says more than what this led to.
            first, last = span(self._checked(key, tag).size, offset, size)
            if first < last:
                raise
            return EMPTY
        there = self._checked(key, tag)
        first, last = span(there.size, offset, size)
        if len(data) == there.size:
            # A server that knows no ranges sends the whole object.
            return pa.py_buffer(data).slice(first, last - first)
        if len(data) != last - first:
            message = f"{last - first} bytes were asked for, and {len(data)} came"
            raise TransientError(message, where=self._url(key), next="try again")
        return pa.py_buffer(data)

    def open(self, info: ObjectInfo, *, whole: bool) -> pa.NativeFile:
        """As promised; a file that is not fetched whole has its tag checked by each of its reads."""
        if whole and info.size <= WHOLE_BYTES_MAX:
            return pa.BufferReader(self.read(info.key, size=info.size, tag=info.tag))
        return open_ranges(self, info)

    def put(self, key: str, data: bytes, *, create: bool = False, replaces: str | None = None) -> NoReturn:
        self._refuse(key)

    def upload(self, key: str, *, stamp: str) -> Upload:
        self._refuse(key)

    def copy(
        self,
        source: str,
        key: str,
        *,
        tag: str | None = None,
        create: bool = False,
        replaces: str | None = None,
    ) -> NoReturn:
        self._refuse(key)

    def refuses_copy(self, source: str, key: str, *, tag: str, replaces: str | None, parts: bool) -> NoReturn:
        self._refuse(key)

    def delete(self, key: str, *, tag: str | None = None) -> NoReturn:
        self._refuse(key)

    def refuses_delete(self, key: str, *, tag: str) -> NoReturn:
        self._refuse(key)

    def uploads(self, prefix: str) -> list[Unfinished]:
        return []

    def abandon(self, key: str, upload: str) -> NoReturn:
        self._refuse(key)

    def _refuse(self, key: str) -> NoReturn:
        raise SpecError(
            f"{self.scheme}:// is read-only: a target and its state need s3:// or a local folder",
            where=self._url(key),
            next="write s3://bucket/prefix, or a folder",
        )

    def _url(self, key: str) -> str:
        return f"{self.scheme}://{key}"

    def _place(self, key: str) -> tuple[AbstractFileSystem, str]:
        """The filesystem, which fsspec keeps by host and thread, and the key as a path in it. What it
        remembers of earlier listings is dropped: tags must be those of now."""
        url = self._url(key)
        try:
            kind = get_filesystem_class(self.scheme)
            filesystem = kind(**kind._get_kwargs_from_urls(url))
        except (ImportError, ValueError, TypeError) as error:
            raise SpecError(
                f"fsspec cannot open {self.scheme}:// ({_said(error)})",
                where=url,
                next="install and configure what it names, or use s3:// or a local folder",
            ) from error
        filesystem.invalidate_cache()
        return filesystem, kind._strip_protocol(url)

    def _look(self, key: str, kind: str = "") -> ObjectInfo | None:
        """The object with a tag of this kind, if there still is such a fact."""
        self._meter.count("head")
        with _translating(self._url(key)):
            filesystem, path = self._place(key)
            try:
                info = filesystem.info(path)
                if info["type"] != "file":
                    return None
                return self._object(key, self._completed(filesystem, path, info), kind)
            except NOTHING_THERE as error:
                if _is_outage(error):
                    raise
                return None

    def _checked(self, key: str, tag: str | None) -> ObjectInfo:
        there = self._look(key, (tag or "").partition(":")[0])
        if there is None:
            raise gone(self._url(key))
        if tag is not None and there.tag != tag:
            raise changed(self._url(key), tag, there.tag)
        return there

    def _fetch(self, key: str, offset: int, size: int | None) -> bytes:
        if size == 0:
            return b""
        with _translating(self._url(key)):
            filesystem, path = self._place(key)
            end = None if size is None else offset + size
            data: bytes = filesystem.cat_file(path, start=offset if offset or end else None, end=end)
        self._meter.count("get", bytes_read=len(data))
        return data

    def _list(self, prefix: str, folders: bool) -> _Listing:
        """Folder by folder, and not by fsspec's `find`, which passes over a folder that cannot be listed."""
        tables: list[pa.Table] = []
        found: list[str] = []
        pending = [prefix.rpartition("/")[0]]
        while pending:
            objects, below = self._list_folder(pending.pop(), prefix)
            tables.append(objects)
            (found if folders else pending).extend(below)
        joined = pa.concat_tables([LISTING.empty_table(), *tables])
        return _Listing(joined.sort_by("key"), tuple(sorted(f"{folder}/" for folder in found)))

    def _list_folder(self, folder: str, prefix: str) -> tuple[pa.Table, list[str]]:
        """What begins with the prefix: the folder's objects, and its folders' keys without a slash."""
        self._meter.count("list")
        rows: list[dict[str, Any]] = []
        below: list[str] = []
        with _translating(self._url(folder)):
            filesystem, path = self._place(folder)
            for entry in _entries(filesystem, path):
                key = self._below(filesystem, folder, path, entry["name"])
                if key is None or not key.startswith(prefix):
                    continue
                if entry["type"] == "directory":
                    below.append(key)
                else:
                    rows.append(self._row(filesystem, key, entry))
        return pa.Table.from_pylist(rows, LISTING), below

    def _below(self, filesystem: AbstractFileSystem, folder: str, path: str, name: str) -> str | None:
        """The key of something in a folder, by its path; None for the folder itself, which some
        filesystems list, and which is what they list of a file."""
        bare, above = name.strip("/"), path.strip("/")
        if bare == above:
            return None
        key = f"{folder}/{bare.removeprefix(above).lstrip('/')}"
        if not bare.startswith(above) or filesystem._strip_protocol(self._url(key)).strip("/") != bare:
            raise SpecError(
                f"fsspec lists {name!r} here, which no URL of this folder means",
                where=self._url(folder),
                next="rename it",
            )
        return key

    def _row(self, filesystem: AbstractFileSystem, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """An entry as a row of LISTING; what a listing does not say, the object is asked."""
        if entry["type"] != "file" or entry.get("size") is None or tag_of(entry) is None:
            self._meter.count("head")
            entry = self._completed(filesystem, entry["name"], filesystem.info(entry["name"]))
        if entry["type"] != "file":
            raise SpecError(
                "a link that does not lead to a file", where=self._url(key), next="move it out of the source"
            )
        info = self._object(key, entry, "")
        modified = modified_microseconds(entry)
        return {"key": key, "size": info.size, "tag": info.tag, "modified": modified}

    def _completed(
        self, filesystem: AbstractFileSystem, path: str, info: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """With one more fact, where the filesystem has it but does not state it by itself."""
        if tag_of(info) is not None:
            return info
        try:
            return {**info, "mtime": filesystem.modified(path)}
        except NotImplementedError:
            # The inherited key hashes `info`, where nothing was found; that of the web is its URL.
            own = type(filesystem).ukey is not AbstractFileSystem.ukey and self.scheme not in WEB
            return {**info, "ukey": filesystem.ukey(path)} if own else info

    def _object(self, key: str, info: Mapping[str, Any], kind: str) -> ObjectInfo:
        tag, size = tag_of(info, kind), info.get("size")
        if tag is None or size is None:
            missing = "its size" if size is None else "an ETag, a checksum, or when it was written"
            raise SpecError(
                f"this object cannot be pinned: {self.scheme}:// does not say {missing}, and a change "
                "between plan and run would go unnoticed",
                where=self._url(key),
                next="copy it to s3:// or a local folder first",
            )
        return ObjectInfo(key, int(size), tag)


def _entries(filesystem: AbstractFileSystem, path: str) -> list[dict[str, Any]]:
    """What lies in a folder; nothing, where it does not exist or has gone meanwhile."""
    try:
        return list(filesystem.ls(path, detail=True))
    except NOTHING_THERE as error:
        if _is_outage(error):
            raise
        return []


@contextmanager
def _translating(url: str) -> Iterator[None]:
    try:
        yield
    except RaybackfillError:
        raise
    except Exception as error:
        statuses = {_status(error), _status(error.__cause__)}
        if isinstance(error, PermissionError) or statuses & REFUSED_STATUS:
            raise SpecError(
                f"no permission ({_said(error)})", where=url, next="check the filesystem's credentials"
            ) from error
        if isinstance(error, NOTHING_THERE) and not _is_outage(error):
            raise gone(url) from error
        message = f"the filesystem did not answer ({_said(error)})"
        raise TransientError(message, where=url, next="run it again, or resume, once it does") from error


def _is_outage(error: BaseException) -> bool:
    """Some filesystems (the web) say FileNotFoundError for whatever goes wrong: its cause tells."""
    cause = error.__cause__
    if cause is None or isinstance(cause, LookupError | StopIteration | FileNotFoundError):
        return False
    return _status(cause) not in MISSING_STATUS


def _status(error: BaseException | None) -> int | None:
    """The status of the HTTP reply, as aiohttp's and as requests' errors hold it."""
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _said(error: BaseException) -> str:
    cause = f", {type(error.__cause__).__name__}: {error.__cause__}" if error.__cause__ else ""
    return " ".join(f"{type(error).__name__}: {error}{cause}".split())
