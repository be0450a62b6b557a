"""Jobs over Polars frames, eager or lazy."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa


class PolarsFrame:
    """`lazy` says what the job gets; it may give either."""

    def __init__(self, *, lazy: bool) -> None:
        self.name = "polars.LazyFrame" if lazy else "polars.DataFrame"
        self._lazy = lazy

    def from_arrow(self, table: pa.Table) -> Any:
        # from_arrow, not DataFrame(table): that copies the chunks together, which costs 10 ms a unit.
        frame = pl.from_arrow(_with_views(table), rechunk=False) if table.num_columns else pl.DataFrame()
        return frame.lazy() if self._lazy else frame

    def to_arrow(self, value: Any) -> pa.Table:
        if isinstance(value, pl.LazyFrame):
            value = value.collect()
        if not isinstance(value, pl.DataFrame):
            raise TypeError(f"expected a polars DataFrame or LazyFrame, got {type(value).__name__}")
        return value.to_arrow(compat_level=pl.CompatLevel.oldest())

    def carried(self, schema: pa.Schema) -> pa.Schema:
        return self.to_arrow(self.from_arrow(schema.empty_table())).schema

    def carries(self, field: pa.Field) -> bool:
        return _carried(field.type)


def _with_views(table: pa.Table) -> pa.Table:
    """Texts as Polars holds them. pyarrow makes views of them three times as fast as Polars does."""
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    if not texts:
        return table
    fields = [field.with_type(pa.string_view()) if field.name in texts else field for field in table.schema]
    return table.cast(pa.schema(fields))


def _carried(kind: pa.DataType) -> bool:
    """Polars panics on 256-bit decimals, refuses intervals, and forgets the length of fixed binary."""
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):
        return all(_carried(kind.field(index).type) for index in range(kind.num_fields))
    return not (
        pa.types.is_decimal256(kind)
        or pa.types.is_interval(kind)
        or pa.types.is_union(kind)
        or pa.types.is_date64(kind)
    )
