"""Decides how large a Parquet file's row groups are as Arrow data, from its footer alone."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types as kinds

_TEXT_BYTES_MIN = 24
"""An offset, a little text, and the copy that growing buffers cost. Dictionaries hide more."""

_NESTED_FACTOR = 2


def decoded_bytes(footer: pq.FileMetaData, schema: pa.Schema) -> list[int]:
    """An estimate for each row group, in bytes. `schema` is the file's as Arrow shows it."""
    widths = _widths(footer, schema)
    sizes = []
    for index in range(footer.num_row_groups):
        group = footer.row_group(index)
        rows = group.num_rows
        size = 0
        for leaf, (width, nested) in enumerate(widths):
            stored = 0 if width else group.column(leaf).total_uncompressed_size
            size += int(rows * width) if width else _variable(stored, rows, nested)
        sizes.append(size)
    return sizes


def _variable(uncompressed: int, rows: int, nested: bool) -> int:
    return _NESTED_FACTOR * uncompressed if nested else max(uncompressed, _TEXT_BYTES_MIN * rows)


def _widths(footer: pq.FileMetaData, schema: pa.Schema) -> list[tuple[float, bool]]:
    """For each leaf column: bytes a value (0 where they differ), and whether it lies in a nested one."""
    widths: list[tuple[float, bool]] = []
    for field in schema:
        leaves = leaf_count(field.type)
        nested = bool(kinds.is_nested(field.type))
        widths += [(0.0 if nested else _width(field.type), nested)] * leaves
    # A file of types that are counted otherwise than they are stored is estimated by its bytes.
    return widths if len(widths) == footer.num_columns else [(0.0, True)] * footer.num_columns


def leaf_count(kind: pa.DataType) -> int:
    """How many of a Parquet file's columns a column of this type is stored in."""
    if isinstance(kind, pa.BaseExtensionType):
        return leaf_count(kind.storage_type)
    if not kinds.is_nested(kind):
        return 1
    if kinds.is_map(kind):
        return leaf_count(kind.key_type) + leaf_count(kind.item_type)
    return sum(leaf_count(kind.field(index).type) for index in range(kind.num_fields))


def _width(kind: pa.DataType) -> float:
    """Bytes a value, with its share of the bits that say what is null."""
    try:
        return float(kind.bit_width) / 8 + 0.125
    except ValueError:
        return 0.0


def column_bounds(footer: pq.FileMetaData, name: str | None) -> tuple[tuple[Any, Any], ...]:
    """The smallest and largest value of a column in each row group, None where the footer has none;
    empty where there is no such column."""
    columns = [footer.schema.column(index).path for index in range(footer.num_columns)]
    if name is None or name not in columns:
        return ()
    index = columns.index(name)
    groups = (footer.row_group(number).column(index) for number in range(footer.num_row_groups))
    return tuple(_bounds(chunk.statistics) for chunk in groups)


def _bounds(statistics: Any) -> tuple[Any, Any]:
    if statistics is None or not statistics.has_min_max:
        return None, None
    return statistics.min, statistics.max
