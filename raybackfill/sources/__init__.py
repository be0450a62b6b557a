"""Sources: one file format a module. To add one: a module here and a line in `wiring.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pyarrow as pa

from raybackfill.model import Piece
from raybackfill.storage import ObjectInfo, ObjectStore


@dataclass(frozen=True)
class Inspection:
    """What one object holds, found at plan time.

    `schema`: its columns with the types it shows. `rows`: exact, or -1. `decoded_bytes`: estimate of
    its size as Arrow data. `row_groups`: (rows, decoded_bytes) of each part that can be read
    by itself; empty where it cannot be split. `bounds`: the smallest and largest value, in each of
    these, of the column that was asked for (None where unknown); empty where the format has none.
    """

    schema: pa.Schema
    rows: int
    decoded_bytes: int
    row_groups: tuple[tuple[int, int], ...] = field(default=())
    bounds: tuple[tuple[Any, Any], ...] = field(default=())


class Source(Protocol):
    """The promise: every row of the piece exactly once, in the file's order, with the values that
    stand in the file, or a UnitError that names the object, the column and the row; never
    something silently different.
    """

    def inspect(self, store: ObjectStore, info: ObjectInfo, bounds_of: str | None = None) -> Inspection:
        """Look at one object, reading as little as tells the truth. SpecError names a broken one."""

    def read(
        self, store: ObjectStore, piece: Piece, schema: pa.Schema, batch_bytes: int
    ) -> Iterator[pa.Table]:
        """The piece's rows in tables of about `batch_bytes` decoded or less.

        `schema` is the resolved schema of all source objects (file columns only). A table holds
        those of its columns that the object has, under their names, in any order, in the object's
        types where the format has types of its own, in the schema's types where it is text.
        """

    def combine(self, schemas: Sequence[pa.Schema]) -> Literal["typed", "text"]:
        """How columns whose types differ between objects are brought together:
        "typed" (safe widening only) or "text" (what does not fit together stays the text it is)."""
