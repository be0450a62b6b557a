"""Moves one object from a store to the same or another one, in bounded memory."""

from __future__ import annotations

from raybackfill.storage import ObjectInfo, ObjectStore
from raybackfill.storage.reading import BLOCK_BYTES, changed, gone


def copy_object(
    source_store: ObjectStore,
    source: ObjectInfo,
    target_store: ObjectStore,
    key: str,
    *,
    create: bool = False,
) -> ObjectInfo | None:
    """Copy exactly the object in `source` (its tag is checked) to `key`, its stamp included.

    Within one store nothing is read. Between two the bytes pass through 8 MiB at a time, and `key`
    changes at once at the end. With `create`, None where `key` is there already; between two stores
    that is looked up before, so that of two copies at the same instant both may write.
    """
    if source_store is target_store:
        _check(source_store, source)
        return source_store.copy(source.key, key, create=create)
    if create and target_store.head(key) is not None:
        return None
    return _stream(source_store, source, target_store, key)


def _check(store: ObjectStore, source: ObjectInfo) -> None:
    now = store.head(source.key)
    if now is None:
        raise gone(f"{store.scheme}://{source.key}")
    if now.tag != source.tag:
        raise changed(f"{store.scheme}://{source.key}", source.tag, now.tag)


def _stream(source_store: ObjectStore, source: ObjectInfo, target_store: ObjectStore, key: str) -> ObjectInfo:
    upload = target_store.upload(key, stamp=source.stamp)
    try:
        for offset in range(0, source.size, BLOCK_BYTES):
            size = min(BLOCK_BYTES, source.size - offset)
            upload.write(source_store.read(source.key, offset=offset, size=size, tag=source.tag))
        if source.size == 0:
            _check(source_store, source)
        return upload.commit()
    except BaseException:
        upload.abort()
        raise
