"""How the tests of sources put one object into a store, look at it and read it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from raybackfill.model import Piece
from raybackfill.sources import Inspection, Source
from raybackfill.storage import ObjectInfo
from raybackfill.storage.memory import MemoryStore


def stored(data: bytes, key: str) -> tuple[MemoryStore, ObjectInfo]:
    store = MemoryStore()
    store.put(key, data)
    info = store.head(key)
    assert info is not None
    return store, info


def inspected(source: Source, data: bytes, key: str) -> Inspection:
    store, info = stored(data, key)
    return source.inspect(store, info)


def tables_of(
    source: Source, data: bytes, key: str, schema: pa.Schema | None = None, batch_bytes: int = 64_000_000
) -> list[pa.Table]:
    """The tables as a unit would get them, after a look at the object for its schema."""
    store, info = stored(data, key)
    schema = schema if schema is not None else source.inspect(store, info).schema
    piece = Piece(info.key, info.size, info.tag, None, -1, 0)
    return list(source.read(store, piece, schema, batch_bytes))


def rows_of(source: Source, data: bytes, key: str, schema: pa.Schema | None = None) -> list[dict[str, Any]]:
    return [row for table in tables_of(source, data, key, schema) for row in table.to_pylist()]
