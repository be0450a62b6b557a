"""Decides the order in which the files below a folder are listed: that of S3."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raybackfill.errors import SpecError

OURS = ".raybackfill-"
"""How the names of our temporary files and folders begin. They are never listed."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file with its size and modification time in nanoseconds, or a folder (its key ends in "/")."""

    key: str
    size: int = 0
    modified_ns: int = 0


def walk(prefix: str, *, after: str | None, folders: bool) -> Iterator[Found]:
    """What lies under the prefix, in the byte order of whole keys, from behind `after` on.

    As on S3 the prefix may end within a name, and a folder sorts by its name with the "/": "a.txt",
    "a/b", "a0". One folder's names are held at a time for each level. What vanishes meanwhile is
    left out. With `folders`, one level only; a folder is given even where it is empty.
    """
    folder, _, start = prefix.rpartition("/")
    yield from _walk(f"{folder}/", start, None if after is None else os.fsencode(after), folders)


def _walk(folder: str, start: str, after: bytes | None, folders: bool) -> Iterator[Found]:
    for name in _names(folder, start):
        key = folder + name
        if after is not None and not _is_behind(os.fsencode(key), after, whole=folders):
            continue
        if not name.endswith("/"):
            yield from _file(key)
        elif folders:
            yield Found(key)
        else:
            yield from _walk(key, "", after, folders)


def _is_behind(key: bytes, after: bytes, *, whole: bool) -> bool:
    """Whether something of this entry comes after `after`: the rest of a folder that it lies in may."""
    inside = not whole and key.endswith(b"/") and after.startswith(key)
    return key > after or inside


def _names(folder: str, start: str) -> list[str]:
    """The names in a folder that begin with `start`, those of folders with a "/", in byte order."""
    try:
        with os.scandir(folder) as entries:
            names = [
                _name(entry)
                for entry in entries
                if entry.name.startswith(start) and not entry.name.startswith(OURS)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(names, key=os.fsencode)


def _name(entry: os.DirEntry[str]) -> str:
    try:
        entry.name.encode()
    except UnicodeEncodeError as error:
        where = os.fsencode(entry.path).decode(errors="replace")
        raise SpecError("the file's name is not UTF-8", where=where, next="rename it") from error
    if not entry.is_dir():
        return entry.name
    if entry.is_symlink():
        _refuse_loop(Path(entry.path))
    return entry.name + "/"


def _refuse_loop(link: Path) -> None:
    goal = link.resolve()
    if any(parent.resolve() == goal for parent in link.parents):
        raise SpecError(
            f"this link leads back to {goal}, which it lies in", where=str(link), next="remove the link"
        )


def _file(key: str) -> Iterator[Found]:
    path = Path(key)
    try:
        there = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise SpecError("this link leads to nothing", where=key, next="remove or repair it") from None
        return
    if stat.S_ISREG(there.st_mode):
        yield Found(key, there.st_size, there.st_mtime_ns)
