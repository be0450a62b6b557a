"""Jobs over pandas DataFrames with Arrow-backed columns, so that no type is lost on the way."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa


class PandasFrame:
    name = "pandas.DataFrame"

    def from_arrow(self, table: pa.Table) -> Any:
        return table.to_pandas(types_mapper=pd.ArrowDtype)

    def to_arrow(self, value: Any) -> pa.Table:
        if not isinstance(value, pd.DataFrame):
            raise TypeError(f"expected a pandas DataFrame, got {type(value).__name__}")
        # The index is pandas' own: a job that wants it as a column resets it.
        return pa.Table.from_pandas(value, preserve_index=False).replace_schema_metadata(None)

    def carried(self, schema: pa.Schema) -> pa.Schema:
        return self.to_arrow(self.from_arrow(schema.empty_table())).schema

    def carries(self, field: pa.Field) -> bool:
        return True
