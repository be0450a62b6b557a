"""Decides from a trial on a sample whether a job works row by row, and what columns it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from raybackfill.control.planning.schemas import canonical_output
from raybackfill.errors import SpecError

Job = Callable[[pa.Table], pa.Table]


def try_row_by_row(job: Job, sample: pa.Table, ref: str) -> pa.Table:
    """The job's rows for the sample, after a check that its halves give the same rows as the whole.

    SpecError where they do not: such a job needs `per: partition`, or its result would depend on
    how rows happen to be cut into batches.
    """
    whole = job(sample)
    middle = sample.num_rows // 2
    if middle == 0:
        return whole
    halves = [job(sample.slice(0, middle)), job(sample.slice(middle))]
    if not same_rows(whole, halves):
        made = f"{halves[0].num_rows} + {halves[1].num_rows}"
        raise SpecError(
            f"{ref} does not work row by row: {sample.num_rows} sample rows gave {whole.num_rows} rows at "
            f"once, and {made} (or other values) in two halves",
            where="transform.per",
            next="say transform.per: partition, so that it gets all rows of a source partition in one call; "
            "a job must also give the same rows each time: no clock, no randomness, no state",
        )
    return whole


def same_rows(whole: pa.Table, parts: list[pa.Table]) -> bool:
    """Whether the parts, one after the other, hold the same rows as the whole (NaN equals NaN)."""
    if any(part.column_names != whole.column_names for part in parts):
        return False
    together = [row for part in parts for row in map(repr, part.to_pylist())]
    return together == [repr(row) for row in whole.to_pylist()]


def output_schema(
    result: pa.Schema, overrides: Mapping[str, pa.DataType], live: pa.Schema | None
) -> pa.Schema:
    """The schema that every unit must fit: what the job gave for the sample, with target.schema's
    types, and the live table's where the sample shows nothing but nulls. SpecError for the rest."""
    unknown = sorted(set(overrides) - set(result.names))
    if unknown:
        raise SpecError(
            f"the job gives no column {', '.join(unknown)}",
            where="target.schema",
            next=f"it gives {', '.join(result.names)}",
        )
    doubled = sorted({name for name in result.names if result.names.count(name) > 1})
    if doubled:
        raise SpecError(f"the job gives the column {', '.join(doubled)} twice", where="transform")
    fields = [_output_field(field, overrides, live) for field in canonical_output(result)]
    return pa.schema([pa.field(field.name, _without_seconds(field.type)) for field in fields])


def _without_seconds(kind: pa.DataType) -> pa.DataType:
    """Parquet has no times in whole seconds: a plan that said so would differ from its own table."""
    if pa.types.is_timestamp(kind) and kind.unit == "s":
        return pa.timestamp("ms", kind.tz)
    return pa.time32("ms") if kind == pa.time32("s") else kind


def _output_field(field: pa.Field, overrides: Mapping[str, pa.DataType], live: pa.Schema | None) -> pa.Field:
    if field.name in overrides:
        return pa.field(field.name, overrides[field.name])
    if not pa.types.is_null(field.type):
        return pa.field(field.name, field.type)
    if live is not None and field.name in live.names:
        return pa.field(field.name, live.field(field.name).type)
    raise SpecError(
        f"the column {field.name} holds only nulls in the sample, so its type is unknown",
        where="target.schema",
        next=f"say it: schema: {{{field.name}: string}} (or int64, timestamp(us, UTC), ..)",
    )


def refuse_lost_columns(old: pa.Schema, new: Sequence[str], where: str) -> None:
    """SpecError where rows of the table that are to be kept have a column that the new ones lack."""
    lost = [name for name in old.names if name not in new]
    if lost:
        raise SpecError(
            f"rows outside the scope are kept, but the job gives no column {', '.join(lost)} for them",
            where=where,
            next="let the job give all of the table's columns, or choose a scope of whole partitions",
        )
