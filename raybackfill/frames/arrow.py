"""Jobs over pyarrow Tables: nothing is converted."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


class ArrowFrame:
    name = "pyarrow.Table"

    def from_arrow(self, table: pa.Table) -> pa.Table:
        return table

    def to_arrow(self, value: Any) -> pa.Table:
        if isinstance(value, pa.RecordBatch):
            return pa.Table.from_batches([value])
        if not isinstance(value, pa.Table):
            raise TypeError(f"expected a pyarrow.Table, got {type(value).__name__}")
        return value

    def carried(self, schema: pa.Schema) -> pa.Schema:
        return self.to_arrow(self.from_arrow(schema.empty_table())).schema

    def carries(self, field: pa.Field) -> bool:
        return True
