"""Decides how a list view is held as a list: pyarrow's own cast makes lists whose offsets are wrong
(seen in 26.0), which then read memory that is not theirs."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as kinds

from raybackfill.control.arrow import widening


def has_views(kind: pa.DataType) -> bool:
    if kinds.is_list_view(kind) or kinds.is_large_list_view(kind):
        return True
    return bool(kinds.is_nested(kind)) and any(
        has_views(kind.field(index).type) for index in range(kind.num_fields)
    )


def without_views(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values, with a large list for each list view; ValueError where one lies in a map."""
    if not has_views(column.type):
        return column
    chunks = [_rebuilt(chunk) for chunk in column.chunks]
    return pa.chunked_array(chunks or [_rebuilt(pa.array([], column.type))])


def _rebuilt(array: pa.Array) -> pa.Array:
    kind = array.type
    if not has_views(kind):
        return array
    if kinds.is_struct(kind):
        # Taking all rows leaves out what lies before a slice, which a struct's fields still show.
        array = array.take(pa.array(range(len(array)), pa.int64()))
        parts = [_rebuilt(array.field(index)) for index in range(kind.num_fields)]
        fields = [
            field.with_type(part.type) for field, part in zip(widening.fields_of(kind), parts, strict=True)
        ]
        return pa.StructArray.from_arrays(parts, fields=fields, mask=array.is_null())
    if kinds.is_map(kind):
        raise ValueError(f"{kind} holds list views, which are not read in a map")
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    return pa.LargeListArray.from_arrays(offsets, _rebuilt(array.flatten()), mask=array.is_null())
