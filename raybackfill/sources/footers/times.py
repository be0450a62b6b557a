"""Decides what an INT96 time is in Arrow, without rounding it.

INT96 counts nanoseconds over a range that 64 bits of nanoseconds do not have, and pyarrow, asked for
microseconds, cuts the rest off without a word. The column is therefore also read in nanoseconds,
which wrap around, and in seconds, which do not: the seconds say whether microseconds reach that far,
and nanoseconds - 1000 * microseconds, in wrapping arithmetic, is what was cut off.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types as kinds

from raybackfill.control.arrow import widening
from raybackfill.errors import UnitError
from raybackfill.sources.footers.sizes import leaf_count
from raybackfill.sources.text_values import Place

_NS_RANGE = (2**63 - 1) // 1000
_SECONDS_RANGE = (2**63 - 1) // 1_000_000


def int96_columns(footer: pq.FileMetaData, schema: pa.Schema) -> tuple[str, ...]:
    """The names of the columns that hold INT96 times, themselves or nested in them."""
    if not any(kinds.is_timestamp(kind) or kinds.is_nested(kind) for kind in schema.types):
        return ()
    found = []
    leaf = 0
    for field in schema:
        leaves = range(leaf, leaf + leaf_count(field.type))
        leaf += len(leaves)
        if any(
            index < footer.num_columns and footer.schema.column(index).physical_type == "INT96"
            for index in leaves
        ):
            found.append(field.name)
    return tuple(found)


def exact_times(
    table: pa.Table, nanoseconds: pa.Table, seconds: pa.Table, schema: pa.Schema, place: Place
) -> pa.Table:
    """The table, whose INT96 columns are in microseconds, if these hold all there is.

    `nanoseconds` and `seconds`: the INT96 columns of the same rows in these units. A column that the
    schema wants in nanoseconds is given in these. UnitError names the column and the row of a time
    that its unit cannot hold (of a nested time, its number among the times).
    """
    for name in nanoseconds.column_names:
        wants_nanoseconds = name in schema.names and _is_nanoseconds(schema.field(name).type)
        own = _times(_one(table.column(name)))
        fine = _times(_one(nanoseconds.column(name)))
        coarse = _times(_one(seconds.column(name)))
        for times in zip(own, fine, coarse, strict=True):
            _refuse(*times, wants_nanoseconds, Place(place.key, name, place.rows_before))
        if wants_nanoseconds:
            index = table.column_names.index(name)
            table = table.set_column(index, nanoseconds.schema.field(name), nanoseconds.column(name))
    return table


def _refuse(own: pa.Array, fine: pa.Array, coarse: pa.Array, wants_nanoseconds: bool, place: Place) -> None:
    fits = pc.and_(pc.greater(coarse, -_SECONDS_RANGE), pc.less(coarse, _SECONDS_RANGE))
    advice = "leave the object out with source.path"
    _demand(fits, place, "is beyond the years that microseconds reach", advice)
    if wants_nanoseconds:
        near = pc.and_(pc.greater(own, -_NS_RANGE), pc.less(own, _NS_RANGE))
        advice = f"say source.schema: {{{place.column}: timestamp(us)}}, if that is fine enough"
        _demand(near, place, "is beyond the years that nanoseconds reach (1677 to 2262)", advice)
        return
    rest = pc.subtract(fine, pc.multiply(own, 1000))
    advice = f"add source.schema: {{{place.column}: timestamp(ns)}}"
    _demand(pc.equal(rest, 0), place, "is finer than a microsecond", advice)


def _demand(good: pa.Array, place: Place, what: str, advice: str) -> None:
    if pc.all(good, skip_nulls=True, min_count=0).as_py():
        return
    row = place.rows_before + pc.index(good, False).as_py() + 1
    what = f"the INT96 time in column {place.column} (row {row}) {what}"
    raise UnitError(what, where=place.key, next=advice)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _is_nanoseconds(kind: pa.DataType) -> bool:
    return bool(kinds.is_timestamp(kind)) and kind.unit == "ns"


def _times(array: pa.Array) -> Iterator[pa.Array]:
    """The time columns in an array, as 64-bit integers, nested ones flattened."""
    kind = array.type
    if kinds.is_timestamp(kind):
        yield array.cast(pa.int64())
    elif kinds.is_map(kind):
        yield from _times(array.keys)
        yield from _times(array.items)
    elif kinds.is_struct(kind):
        for part in array.flatten():
            yield from _times(part)
    elif widening.is_listing(kind):
        yield from _times(array.flatten())
