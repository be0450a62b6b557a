"""Decides which place a URI means, and which places may not lie in one another."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

from raybackfill.errors import SpecError
from raybackfill.spec.nodes import shown

STATE_FOLDER = "_raybackfill"

_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?![/:]|file:|$)([^?]+)(.*)")
"""A database in a file, by a relative path."""

_FORMS = "write s3://bucket/prefix, or a folder"
_LOCAL_SCHEMES = ("local", "asynclocal")
"""What fsspec calls a disk too: under a second name, one place inside another would go unnoticed."""


def read_location(text: str, root: str, *, read_only: bool = False) -> str:
    """The absolute form without a slash at the end: `s3://bucket/prefix`, or `/folder/name`.

    With `read_only`, any other `scheme://..` too: whether fsspec knows it is seen when it is opened.
    A relative path starts at `root`. No disk is touched, so that links are not followed.
    """
    if not text or not text.isprintable() or text != text.strip():
        raise SpecError(f"{shown(text)} is not a place", next=_FORMS)
    if re.search(r"[*{}]", text):
        raise SpecError(f"{shown(text)} has a pattern in it", next="stop before it, and write it as path")
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):/", text)
    if match is None:
        return _local(text, root)
    scheme = match.group(1).lower()
    if scheme == "s3" and text.startswith("s3://"):
        return _s3(text)
    if scheme == "file":
        return _file(text)
    if scheme in ("s3", "s3a", "s3n"):
        raise SpecError(f"{shown(text)} is not a place", next="write s3://bucket/prefix")
    if not text.startswith("://", len(scheme)) or scheme in _LOCAL_SCHEMES:
        raise SpecError(f"{shown(text)} is not a place", next=_FORMS)
    if not read_only:
        raise SpecError(
            f"{scheme}:// is read-only: a target and its state need s3:// or a local folder", next=_FORMS
        )
    return _foreign(scheme, text)


def locate_database(url: str, root: str) -> str:
    """The URL of a database; the relative path of one in a file starts at `root`, as all places do."""
    match = _SQLITE.fullmatch(url)
    return url if match is None else f"{match[1]}{_normal(posixpath.join(root, match[2]))}{match[3]}"


def _s3(text: str) -> str:
    bucket, *segments = text.removeprefix("s3://").rstrip("/").split("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}", bucket):
        raise SpecError(f"{shown(text)} names no bucket", next="write s3://bucket/prefix")
    _refuse_odd_segments(segments, text)
    return "/".join(["s3:/", bucket, *segments])


def _foreign(scheme: str, text: str) -> str:
    """Where a host or bucket ends is the filesystem's affair; it may be empty, as in hdfs:///folder."""
    rest = text[len(scheme) + 3 :].rstrip("/")
    if not rest:
        raise SpecError(f"{shown(text)} names nothing", next=f"write it like {scheme}://bucket/prefix")
    if "::" in rest:
        raise SpecError(f"{shown(text)} chains filesystems (::)", next="name one file or folder")
    _refuse_odd_segments(rest.removeprefix("/").split("/"), text)
    return f"{scheme}://{rest}"


def _refuse_odd_segments(segments: list[str], text: str) -> None:
    if "" in segments:
        raise SpecError(
            f"{shown(text)} has an empty segment (//)",
            next="write one slash; keys with empty segments are not read",
        )
    if "." in segments or ".." in segments:
        raise SpecError(f"{shown(text)} has . or .. in it, unknown to a store", next="write the key as it is")


def _file(text: str) -> str:
    match = re.match(r"file:(?://(?:localhost)?)?(/[^/].*|/)$", text, re.IGNORECASE)
    if match is None:
        raise SpecError(f"{shown(text)} names no folder of this machine", next="write file:///folder/name")
    path = unquote(match.group(1))
    if not path.isprintable():
        raise SpecError(f"{shown(text)} is not a place", next=_FORMS)
    return _normal(path)


def _local(text: str, root: str) -> str:
    if text.startswith("~"):
        raise SpecError(
            f"{shown(text)} means another folder for each user",
            next="write the whole path, or one from the project",
        )
    return _normal(posixpath.join(root, text))


def _normal(path: str) -> str:
    # POSIX keeps two slashes at the start, which would make two names of one folder.
    return "/" + posixpath.normpath(path).lstrip("/")


def is_inside(inner: str, outer: str) -> bool:
    """Whether one lies below the other, by whole segments; a place is not inside itself."""
    return inner != outer and inner.startswith(outer.rstrip("/") + "/")


def is_skipped(inner: str, outer: str) -> bool:
    """Whether a listing of `outer` passes over `inner`, for a name that begins with `_` or `.`."""
    segments = inner[len(outer.rstrip("/")) + 1 :].split("/")
    return any(segment.startswith(("_", ".")) for segment in segments)


def parent(location: str) -> str | None:
    """The folder that holds it; None for a bucket and for the root of a disk."""
    if location == "/" or (location.startswith("s3://") and location.count("/") == 2):
        return None
    return location.rpartition("/")[0] or "/"


def default_state(target: str) -> str:
    """The state's folder beside a target. SpecError where the target has nothing beside it."""
    above = parent(target)
    if above is None:
        raise SpecError(
            f"{target} has no folder around it, and versions and state lie beside a table",
            next=f"give the table a folder of its own, such as {target.rstrip('/')}/table",
        )
    if STATE_FOLDER in target.split("/"):
        raise SpecError(f"{target} is in a folder for state, {STATE_FOLDER}", next="take another folder")
    return f"{above.rstrip('/')}/{STATE_FOLDER}"
