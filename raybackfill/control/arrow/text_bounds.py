"""Smallest and largest texts of a Parquet file's columns, as its footer tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types as kinds

from raybackfill.control.arrow import widening

Bounds = Mapping[str, tuple[Any, Any] | None]
"""Smallest and largest value by column; None where there is no value. A column that is not there is
one of which nothing is known: a footer leaves long texts out."""


def text_bounds(footer: pq.FileMetaData, schema: pa.Schema) -> Bounds:
    """Of the top-level columns of texts or bytes, in all row groups."""
    texts = {field.name for field in schema if _is_text(field.type)}
    found: Bounds = {}
    for group in range(footer.num_row_groups):
        row_group = footer.row_group(group)
        chunks = (row_group.column(index) for index in range(footer.num_columns))
        bounds = {
            chunk.path_in_schema: _bounds(chunk.statistics)
            for chunk in chunks
            if chunk.path_in_schema in texts
        }
        known = {name: pair for name, pair in bounds.items() if pair != ()}
        found = known if group == 0 else merged(found, known)
    return found


def merged(some: Bounds, more: Bounds) -> Bounds:
    """Those of all rows, of those of two parts: known where both are."""
    both: dict[str, tuple[Any, Any] | None] = {}
    for name in some.keys() & more.keys():
        one, other = some[name], more[name]
        if one is None or other is None:
            both[name] = one or other
        else:
            both[name] = (min(one[0], other[0]), max(one[1], other[1]))
    return both


def _is_text(kind: pa.DataType) -> bool:
    if kinds.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(widening.is_text(kind) or widening.is_bytes(kind))


def _bounds(statistics: Any) -> Any:
    """() where nothing is known."""
    if statistics is None:
        return ()
    if statistics.has_min_max:
        return statistics.min, statistics.max
    return None if statistics.has_null_count and statistics.num_values == 0 else ()
