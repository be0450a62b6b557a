"""Moves an object's bytes out of gzip or Zstandard, which its suffix names, as a stream.

All members of a file of several are read. A stream that ends early, whose check sum is wrong, or
that is followed by anything else is refused by name, never read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from raybackfill.errors import RaybackfillError, SpecError, UnitError
from raybackfill.model import Piece
from raybackfill.storage import ObjectInfo, ObjectStore

HEAD_BYTES = 4 * 1024 * 1024
"""How much of an object a plan looks at. A text of up to this size is seen whole, so that its rows
and types are exact; more would make a plan read all the data."""

_STEP_BYTES = 64 * 1024
"""Of stored bytes that are cut off, no more text than this is left unseen."""

_CODECS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class Head:
    """The first bytes of an object's text; `whole` if they are all. `ratio`: bytes of text for each
    stored one, found here, for estimates of the rest."""

    data: bytes
    whole: bool
    ratio: float


def codec_of(key: str) -> str | None:
    """The codec that the key's suffix names, or None for an object that is stored plainly."""
    return next((codec for suffix, codec in _CODECS.items() if key.lower().endswith(suffix)), None)


def info_of(piece: Piece) -> ObjectInfo:
    return ObjectInfo(piece.key, piece.size, piece.tag)


def open_text(store: ObjectStore, info: ObjectInfo) -> pa.NativeFile:
    """The object's bytes, decompressed, to be read once from its start. Use it within `translated`."""
    codec = codec_of(info.key)
    if codec is not None and info.size == 0:
        raise OSError("it has no bytes at all, not even a compressed nothing")
    file = store.open(info, whole=True)
    return file if codec is None else pa.CompressedInputStream(file, codec)


def read_head(store: ObjectStore, info: ObjectInfo) -> Head:
    """The object's first HEAD_BYTES of text, or all of it, with one request. SpecError names a broken one."""
    with translated(info.key, SpecError):
        stored = store.read(info.key, size=min(info.size, HEAD_BYTES), tag=info.tag)
        all_stored = len(stored) == info.size
        codec = codec_of(info.key)
        if codec is None:
            return Head(stored.to_pybytes(), all_stored, 1.0)
        if info.size == 0:
            raise OSError("it has no bytes at all, not even a compressed nothing")
        return _decompressed(stored, codec, all_stored)


def _decompressed(stored: pa.Buffer, codec: str, all_stored: bool) -> Head:
    source = pa.BufferReader(stored)
    stream = pa.CompressedInputStream(source, codec)
    parts: list[bytes] = []
    size = 0
    while size <= HEAD_BYTES:
        part = _next_part(stream, all_stored)
        if not part:
            return Head(b"".join(parts), all_stored, size / max(len(stored), 1))
        parts.append(part)
        size += len(part)
    return Head(b"".join(parts), False, size / max(source.tell(), 1))


def _next_part(stream: pa.NativeFile, all_stored: bool) -> bytes:
    try:
        return bytes(stream.read(_STEP_BYTES))
    except OSError as error:
        # Of a part of the stored bytes only as much can be read as they hold.
        if not all_stored and "runcated" in str(error):
            return b""
        raise


@contextmanager
def translated(key: str, kind: type[RaybackfillError] = UnitError) -> Iterator[None]:
    """Turns what pyarrow, a codec or a decoder says of a broken object into an error that names it."""
    try:
        yield
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = " ".join(str(error).split())
        raise kind(
            f"the object cannot be read: {reason}",
            where=key,
            next="replace the object, or leave it out with source.path",
        ) from error
