"""Decides which fact pins an object of a foreign filesystem: one that changes with its content."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

FACTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("etag", ("ETag", "etag")),
    ("md5", ("md5", "md5Hash", "md5Checksum", "Content-MD5", "content_md5")),
    ("generation", ("generation",)),
    ("hash", ("sha", "hex", "blob_id", "content_hash", "checksum", "Digest")),
    (
        "mtime",
        (
            *("mtime", "Last-Modified", "LastModified", "last_modified", "modified", "modify"),
            *("modificationTime", "modifiedTime", "last_write_time", "updated"),
        ),
    ),
    ("ukey", ("ukey",)),
)
"""Kinds of facts, the surest first, under the names that filesystems give them. A time of creation is
none: a file may be written again in place."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECONDS_FROM = 10**11
"""A number of seconds as large as this is a year beyond 5000, so that it is milliseconds."""


def tag_of(info: Mapping[str, Any], kind: str = "") -> str | None:
    """The tag, `kind:value`, by the surest fact in `info`; None where none changes with the content.

    A listing may state fewer facts than a look at the object, so that a tag says its kind: with
    `kind`, that fact is taken where `info` has it. A time counts together with the size; two writes
    of one size within the filesystem's clock tick (a second, on many) have the same tag.
    """
    for name, spellings in sorted(FACTS, key=lambda fact: fact[0] != kind):
        value = _first(info, spellings)
        if value is not None:
            return f"{name}:{_text(name, value, info)}"
    return None


def modified_microseconds(info: Mapping[str, Any]) -> int | None:
    """When the object was written, in microseconds since 1970 UTC, where `info` has that as a time."""
    return _instant(_first(info, dict(FACTS)["mtime"]))


def _first(info: Mapping[str, Any], spellings: tuple[str, ...]) -> Any:
    """A fact that is empty or 0 says nothing."""
    return next((info[each] for each in spellings if info.get(each)), None)


def _text(kind: str, value: Any, info: Mapping[str, Any]) -> str:
    if kind == "etag":
        # Of one store, listings may give it bare and a look at the object in quotes.
        return str(value).removeprefix("W/").strip('"')
    if kind == "mtime":
        instant = _instant(value)
        return f"{value if instant is None else instant}-{info.get('size')}"
    return str(value)


def _instant(value: Any) -> int | None:
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        since = aware - EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if isinstance(value, int | float):
        return round(value * (1_000 if value >= MILLISECONDS_FROM else 1_000_000))
    return None
