"""Decides whether a table's values fit a schema, and gives the table in exactly that schema."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as kinds

from raybackfill.control.arrow import widening
from raybackfill.control.arrow.list_views import without_views


def align(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows with the schema's columns, in its order and types; free where they are already.

    A column that the table lacks becomes nulls. Values are cast only where they stay what they are:
    wider types always, narrower ones if every value comes back the same. ValueError names the
    column and the first value that does not fit, a null where none may be, and extra columns.
    """
    if table.schema.equals(schema):
        _refuse_nulls(table, schema)
        return table
    extra = [name for name in table.column_names if name not in schema.names]
    if extra:
        raise ValueError(f"column {', '.join(extra)} is not in the schema ({', '.join(schema.names)})")
    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise ValueError(f"column {', '.join(sorted(twice))} stands twice in the table")
    columns = [_column(table, field) for field in schema]
    aligned = pa.table(columns, schema=schema) if columns else table
    _refuse_nulls(aligned, schema)
    return aligned


def _refuse_nulls(table: pa.Table, schema: pa.Schema) -> None:
    for index, field in enumerate(schema):
        if not field.nullable and table.column(index).null_count:
            raise ValueError(f"column {field.name} may not be null, and {table.column(index).null_count} "
                             f"of {table.num_rows} values are")  # fmt: skip


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)], field.type)
    column = table.column(field.name)
    if column.type.equals(field.type):
        return column
    try:
        return fit(column, field.type)
    except ValueError as error:
        raise ValueError(f"column {field.name}: {error}") from None


def fit(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The column's values as `kind`, each of them unchanged; ValueError names the first that is not."""
    column = _plain(column)
    if column.type.equals(kind):
        return column
    if _widens(column.type, kind):
        fits: Callable[[pa.ChunkedArray], pa.ChunkedArray | None] = lambda part: _cast(part, kind)  # noqa: E731
    elif _may_narrow(column.type, kind):
        fits = lambda part: _cast_and_back(part, kind)  # noqa: E731
    else:
        raise ValueError(f"{column.type} does not fit {kind}")
    done = fits(column)
    if done is None and kinds.is_nested(column.type):
        # pyarrow casts all parts that a slice's buffers hold, also those outside of it.
        column = _copied(column)
        done = fits(column)
    if done is None:
        index = first_misfit(len(column), lambda start, size: fits(_part(column, start, size)) is not None)
        raise ValueError(f"{_shown(column[index])} (row {index + 1}) does not fit {kind}")
    return done


def _part(column: pa.ChunkedArray, start: int, size: int) -> pa.ChunkedArray:
    part = column.slice(start, size)
    return _copied(part) if kinds.is_nested(column.type) else part


def _copied(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.take(pa.array(range(len(column)), pa.int64()))


def first_misfit(length: int, fits: Callable[[int, int], bool]) -> int:
    """The first of `length` values that does not fit, where `fits(start, size)` tells of a slice
    whether all do; at least one does not. About 2 * length values are tried."""
    start, size = 0, length
    while size > 1:
        half = size // 2
        if fits(start, half):
            start, size = start + half, size - half
        else:
            size = half
    return start


def _shown(value: pa.Scalar) -> str:
    try:
        return repr(value.as_py())
    except (ValueError, OverflowError):
        # A time may be beyond what Python's datetime can say.
        return f"{value.value} ({value.type})"


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values without run-end encoding, extension or list views, which pyarrow's casts do not know
    (or get wrong)."""
    if kinds.is_run_end_encoded(column.type):
        return _plain(pc.run_end_decode(column))
    if isinstance(column.type, pa.BaseExtensionType):
        return _plain(column.cast(column.type.storage_type))
    return without_views(column)


def _widens(own: pa.DataType, kind: pa.DataType) -> bool:
    """Whether every value of one type is one of the other, so that only a checked cast is needed.

    A 64-bit integer may go into a double: pyarrow's cast checks that each stays exact.
    """
    # `kind` comes first, because the order of a struct's fields and the zone are the first one's.
    merged = widening.merge(widening.canonical(kind), widening.canonical(own))
    if merged is not None and merged.equals(widening.canonical(kind)):
        return True
    return bool(kinds.is_integer(own) and kinds.is_float64(kind))


def _may_narrow(own: pa.DataType, kind: pa.DataType) -> bool:
    """Whether single values may fit: numbers among numbers, times among times, texts and bytes.

    Never between a time with a zone and one without: that would invent or forget the zone.
    """
    own, kind = widening.storage_of(own), widening.storage_of(kind)
    if _is_number(own) and _is_number(kind):
        return True
    if kinds.is_timestamp(own) and kinds.is_timestamp(kind):
        return (own.tz is None) == (kind.tz is None)
    for date, moment in ((own, kind), (kind, own)):
        if kinds.is_date(date) and kinds.is_timestamp(moment):
            return moment.tz is None
    for alike in (kinds.is_time, kinds.is_duration):
        if alike(own) and alike(kind):
            return True
    if widening.is_text(own) or widening.is_bytes(own):
        return widening.is_text(kind) or widening.is_bytes(kind)
    return _nested_alike(own, kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))


def _nested_alike(own: pa.DataType, kind: pa.DataType) -> bool:
    """Nested types whose parts may narrow. pyarrow drops a struct's extra fields without a word,
    so a struct may only go into one that has all of its fields."""
    if widening.is_listing(own) and widening.is_listing(kind):
        return _part_fits(own.value_type, kind.value_type)
    if kinds.is_map(own) and kinds.is_map(kind):
        return _part_fits(own.key_type, kind.key_type) and _part_fits(own.item_type, kind.item_type)
    if not (kinds.is_struct(own) and kinds.is_struct(kind)):
        return False
    wanted = {field.name: field for field in widening.fields_of(kind)}
    return all(
        field.name in wanted and _part_fits(field.type, wanted[field.name].type)
        for field in widening.fields_of(own)
    )


def _part_fits(own: pa.DataType, kind: pa.DataType) -> bool:
    return own.equals(kind) or _widens(own, kind) or _may_narrow(own, kind)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    try:
        done = column.cast(kind)
    except pa.ArrowInvalid:
        return None
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise ValueError(f"{column.type} cannot be cast to {kind} ({error})") from None
    return done if _keeps_nulls_out(done, kind) else None


def _cast_and_back(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """Each value must come back the same. NaN never equals itself, so it is told by its text."""
    done = _cast(column, kind)
    if done is None:
        return None
    back = _cast(done, column.type)
    if back is None:
        return None
    if kinds.is_floating(column.type):
        same = pc.or_(pc.equal(back, column), pc.and_(pc.is_nan(back), pc.is_nan(column)))
        return done if pc.all(same, skip_nulls=True, min_count=0).as_py() else None
    return done if back.equals(column) else None


def _keeps_nulls_out(column: pa.ChunkedArray, kind: pa.DataType) -> bool:
    """pyarrow casts nulls into parts that say "not null"; here they do not fit."""
    return not _has_required_part(kind) or all(_parts_hold(chunk) for chunk in column.chunks)


def _has_required_part(kind: pa.DataType) -> bool:
    if kinds.is_map(kind):
        return _required(kind.item_field)
    if widening.is_listing(kind):
        return _required(kind.value_field)
    return bool(kinds.is_struct(kind)) and any(_required(field) for field in widening.fields_of(kind))


def _required(field: pa.Field) -> bool:
    return not field.nullable or _has_required_part(field.type)


def _parts_hold(array: pa.Array) -> bool:
    kind = array.type
    if kinds.is_map(kind):
        return _parts_hold(array.cast(pa.list_(pa.struct([kind.key_field, kind.item_field]))))
    if kinds.is_struct(kind):
        parts = array.filter(array.is_valid()).flatten()
        pairs = list(zip(widening.fields_of(kind), parts, strict=True))
    else:
        pairs = [(kind.value_field, array.flatten())] if widening.is_listing(kind) else []
    return all((field.nullable or not part.null_count) and _parts_hold(part) for field, part in pairs)
