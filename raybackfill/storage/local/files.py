"""Brings files to their keys at once and for good, and says what an error of the disk means."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from raybackfill.errors import RaybackfillError, SpecError, TransientError
from raybackfill.storage import ObjectInfo
from raybackfill.storage.local.walk import OURS
from raybackfill.storage.reading import gone

COPY_BYTES = 1024 * 1024

CANNOT_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)
"""Another file system, another owner's file, too many links, or a file system without links."""

NO_LOCKS = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EBADF, errno.EINVAL})
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
MISNAMED = frozenset(
    {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP}
)

_clock_lock = Lock()
_last_ns = 0


def tag_of(there: os.stat_result) -> str:
    """Modification time and size: what a link or a rename keeps and a new write changes."""
    return f"{there.st_mtime_ns:x}-{there.st_size:x}"


def info_of(key: Path) -> ObjectInfo | None:
    """The file at this path, or None where there is none (a folder is none)."""
    try:
        there = key.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return ObjectInfo(str(key), there.st_size, tag_of(there)) if stat.S_ISREG(there.st_mode) else None


def finish(file: BinaryIO) -> None:
    """Give the file its modification time, and sync it.

    The kernel's own time stamps stand still for some milliseconds, so that two writes of the same
    size could have the same tag; these never do within a process, and across processes differ by
    the nanosecond at which they are taken.
    """
    file.flush()
    now = _new_time_ns()
    os.utime(file.fileno(), ns=(now, now))
    os.fsync(file.fileno())


def _new_time_ns() -> int:
    global _last_ns
    with _clock_lock:
        _last_ns = max(time.time_ns(), _last_ns + 1)
        return _last_ns


def replace(temporary: Path, key: Path, *, replaces: str | None = None) -> ObjectInfo | None:
    """Bring a finished file to its key, over what is there; with `replaces` only over that tag,
    else None. A reader sees the old file or the new one."""
    with locked(key.parent):
        there = info_of(key)
        if replaces is not None and (there is None or there.tag != replaces):
            return None
        return _settle(temporary, key, Path.replace)


def create(temporary: Path, key: Path) -> ObjectInfo | None:
    """Bring a finished file to its key, or None where something is there: of several, one succeeds.

    A link fails if its name is taken, which a rename does not, and is whole at once, which a file
    opened exclusively is not. Without links the lock and a look must do.
    """
    try:
        return _settle(temporary, key, _link)
    except FileExistsError:
        return None
    except OSError as error:
        if error.errno not in CANNOT_LINK:
            raise
    with locked(key.parent):
        return None if key.exists() else _settle(temporary, key, Path.replace)


def _link(temporary: Path, key: Path) -> None:
    key.hardlink_to(temporary)


def _settle(temporary: Path, key: Path, move: Callable[[Path, Path], object]) -> ObjectInfo:
    there = temporary.stat()
    try:
        move(temporary, key)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _settle_from_afar(temporary, key, move)
    sync_folder(key.parent)
    return ObjectInfo(str(key), there.st_size, tag_of(there))


def _settle_from_afar(temporary: Path, key: Path, move: Callable[[Path, Path], object]) -> None:
    """Two mounts of one file system look like one until something is moved between them."""
    near = temporary_beside(key)
    try:
        copy_bytes(temporary, near)
        move(near, key)
    finally:
        near.unlink(missing_ok=True)


def temporary_beside(key: Path) -> Path:
    """A new name in the key's own folder, which listings skip."""
    return key.parent / f"{OURS}{uuid.uuid4().hex}"


def duplicate(source: Path, temporary: Path) -> None:
    """Make `temporary` the same file as `source`, or a copy with the same modification time."""
    try:
        temporary.hardlink_to(source.resolve() if source.is_symlink() else source)
    except (FileNotFoundError, NotADirectoryError):
        raise gone(str(source)) from None
    except OSError as error:
        if error.errno not in CANNOT_LINK:
            raise
        copy_bytes(source, temporary)


def copy_bytes(source: Path, target: Path) -> None:
    """A real copy, synced, with the original's modification time and so its tag."""
    with source.open("rb") as original, target.open("xb") as copy:
        there = os.fstat(original.fileno())
        shutil.copyfileobj(original, copy, COPY_BYTES)
        copy.flush()
        os.utime(copy.fileno(), ns=(there.st_atime_ns, there.st_mtime_ns))
        os.fsync(copy.fileno())


def make_folder(folder: Path) -> None:
    """The folder and those above it, each synced into the one that names it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in the folder outlive a power failure, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress_codes(NO_LOCKS):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone among all who lock this folder, threads and processes alike.

    The lock is on the folder itself, so that no lock file stands in it. A file system without locks
    goes on without: then two writers who both compare before they replace may both succeed.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress_codes(NO_LOCKS):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def suppress_codes(codes: frozenset[int]) -> Iterator[None]:
    """Go on after an OSError with one of these codes."""
    try:
        yield
    except OSError as error:
        if error.errno not in codes:
            raise


@contextmanager
def translating(key: str) -> Iterator[None]:
    """Raise ours for the disk's errors, naming the path."""
    try:
        yield
    except OSError as error:
        raise translated(error, key) from error


def translated(error: OSError, key: str) -> RaybackfillError:
    """The error to raise for what the disk said of this path."""
    text = (error.strerror or str(error)).lower()
    where = str(error.filename or key)
    if error.errno in DISK_FULL:
        return TransientError(f"the disk is full ({text})", where=where, next="free some space, then resume")
    if error.errno in REFUSED:
        return SpecError(f"no permission ({text})", where=where, next="let this user read and write there")
    if error.errno in MISNAMED:
        return SpecError(
            f"not a path for a file ({text})", where=where, next="correct the URI, or move what is in the way"
        )
    return TransientError(
        f"the disk failed ({text})", where=where, next="see that it is there, then try again"
    )
