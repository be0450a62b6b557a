"""Frames: the engines a job may be written for, one a module. Arrow data goes in and comes out."""

from __future__ import annotations

from typing import Any, Protocol

import pyarrow as pa


class Frame(Protocol):
    """The promise: `to_arrow(from_arrow(table))` has the same rows in the same order, with equal
    values; a type that the engine cannot carry is refused by `carries`, at plan time."""

    name: str

    def from_arrow(self, table: pa.Table) -> Any: ...

    def to_arrow(self, value: Any) -> pa.Table:
        """TypeError where the value is not what this engine gives."""

    def carried(self, schema: pa.Schema) -> pa.Schema:
        """The types in which columns of these types come back from a job that leaves them alone."""

    def carries(self, field: pa.Field) -> bool:
        """Whether a column of this type survives the way in and out with equal values."""
