"""Moves one object from a store to the same or another one, in bounded memory."""

from __future__ import annotations

from dataclasses import replace

from raybackfill.storage import ObjectInfo, ObjectStore, Upload, allows
from raybackfill.storage.reading import BLOCK_BYTES


def copy_object(
    source_store: ObjectStore,
    source: ObjectInfo,
    target_store: ObjectStore,
    key: str,
    *,
    create: bool = False,
    replaces: str | None = None,
) -> ObjectInfo | None:
    """Copy exactly the object in `source` (its tag is checked) to `key`, its stamp included; with `create`
    or `replaces` only where that holds, else None.

    Within one store nothing is read. Between two the bytes pass through 8 MiB at a time, and `key`
    changes at once at the end.
    """
    if source_store is target_store:
        return source_store.copy(source.key, key, tag=source.tag, create=create, replaces=replaces)
    if not allows(target_store.head(key) if create or replaces else None, create=create, replaces=replaces):
        return None
    upload = target_store.upload(key, stamp=source.stamp)
    try:
        _stream(source_store, source, upload)
        return upload.commit(create=create, replaces=replaces)
    except BaseException:
        upload.abort()
        raise


def copy_changed(
    store: ObjectStore, source: ObjectInfo, key: str, stamp: str, kept_bytes: int, end: bytes
) -> ObjectInfo:
    """Write the first bytes of the object in `source` (its tag is checked) to `key`, then `end`, under
    another stamp."""
    upload = store.upload(key, stamp=stamp)
    try:
        _stream(store, replace(source, size=kept_bytes), upload)
        upload.write(end)
        made = upload.commit()
    except BaseException:
        upload.abort()
        raise
    assert made is not None, "only a condition is answered with None"
    return made


def _stream(source_store: ObjectStore, source: ObjectInfo, upload: Upload) -> None:
    for offset in range(0, source.size, BLOCK_BYTES):
        size = min(BLOCK_BYTES, source.size - offset)
        upload.write(source_store.read(source.key, offset=offset, size=size, tag=source.tag))
    if source.size == 0:
        source_store.read(source.key, size=0, tag=source.tag)
