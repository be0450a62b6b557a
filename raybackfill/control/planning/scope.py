"""Decides which rows of a table a backfill is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.templates import PathTemplate
from raybackfill.control.planning.times import instants_to_local, local_to_instants, to_instants
from raybackfill.errors import SpecError
from raybackfill.spec.values import Moment, ScopeSpec

_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:?\d{2})?")
_UNITS_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class Scope:
    """The rows with start <= `column` < end, whose values are included and not excluded.

    `timezone` says how dates and naive timestamps of the column are read.
    """

    spec: ScopeSpec
    column: str | None
    timezone: str

    @property
    def start_us(self) -> int | None:
        return None if self.spec.start is None else self.spec.start.instant

    @property
    def end_us(self) -> int | None:
        return None if self.spec.end is None else self.spec.end.instant

    @property
    def has_bounds(self) -> bool:
        return self.spec.start is not None or self.spec.end is not None

    @property
    def needs(self) -> set[str]:
        """The columns that `mask` reads."""
        columns = {*self.spec.include, *self.spec.exclude}
        return columns | {self.column} if self.has_bounds and self.column else columns

    def can_judge(self, schema: pa.Schema) -> bool:
        """Whether rows of this schema have the columns that `mask` reads."""
        return self.needs <= set(schema.names)

    def mask(self, table: pa.Table) -> pa.BooleanArray:
        """For each row whether it is in scope, never null. SpecError where a column of `needs` is
        missing or of a type that cannot be compared."""
        kept = pa.repeat(True, table.num_rows)
        if self.has_bounds:
            kept = pc.and_(kept, self._within(self._time_of(table)))
        for name, texts in self.spec.include.items():
            kept = pc.and_(kept, self._is_in(table, name, texts, "include"))
        for name, texts in self.spec.exclude.items():
            kept = pc.and_not(kept, self._is_in(table, name, texts, "exclude"))
        return kept

    def _within(self, times: pa.Array) -> pa.BooleanArray:
        """Which times lie in [start, end). Instants keep the order of times, so that where the least
        and the greatest lie in it, all do: the usual batch, at a fiftieth of the cost."""
        bounds = pc.min_max(times)
        ends = pa.array([bounds["min"], bounds["max"]], times.type)
        if times.null_count == 0 and pc.all(self.holds(to_instants(ends, self.timezone))).as_py():
            return pa.repeat(True, len(times))
        return self.holds(to_instants(times, self.timezone))

    def holds(self, instants: pa.Array) -> pa.BooleanArray:
        """Which int64 instants lie in [start, end); a null only where there are no bounds."""
        kept = pa.repeat(True, len(instants))
        if self.start_us is not None:
            kept = pc.and_(kept, pc.greater_equal(instants, self.start_us))
        if self.end_us is not None:
            kept = pc.and_(kept, pc.less(instants, self.end_us))
        return pc.fill_null(kept, False)

    def may_contain(self, minimum: Any, maximum: Any) -> bool:
        """Whether rows between a row group's statistics of `column` (values, scalars or None) can be
        between start and end. True where they do not say."""
        if not self.has_bounds:
            return True
        first, last = self._instant_of(minimum), self._instant_of(maximum)
        before_end = first is None or self.end_us is None or first < self.end_us
        return before_end and (last is None or self.start_us is None or last >= self.start_us)

    def _instant_of(self, value: Any) -> int | None:
        scalar = value if isinstance(value, pa.Scalar) else _scalar(value)
        if scalar is None or not scalar.is_valid or not _is_time(scalar.type):
            return None
        instant: int = to_instants(pa.array([scalar], scalar.type), self.timezone)[0].as_py()
        return instant

    def with_margin(self) -> Scope:
        """This scope widened by `margin_seconds` at each bound: what is read of the source."""
        margin_us = self.spec.margin_seconds * 1_000_000
        if not margin_us:
            return self
        start, end = _moved(self.spec.start, -margin_us), _moved(self.spec.end, margin_us)
        return replace(self, spec=replace(self.spec, start=start, end=end, margin_seconds=0))

    def _time_of(self, table: pa.Table) -> pa.Array:
        name = self.column
        if name is None:
            raise SpecError("scope has bounds but no time", where="scope.column", next="name the column")
        if name in table.column_names:
            column = plain_column(table.column(name))
            if _is_time(column.type):
                return column
            message = f"column {name}, the time of the scope, is {column.type}"
        else:
            message = f"there is no column {name}, the time of the scope"
        declare = (
            f'keep it in the job\'s output, and declare it: source.schema: {{{name}: "timestamp(us, UTC)"}}'
        )
        raise SpecError(message, where="scope.column", next=declare)

    def _is_in(self, table: pa.Table, name: str, texts: tuple[str, ...], key: str) -> pa.BooleanArray:
        where = f"scope.{key}.{name}"
        if name not in table.column_names:
            raise SpecError(f"there is no column {name}", where=where, next="keep it in the job's output")
        column = plain_column(table.column(name))
        if pa.types.is_null(column.type):
            return pa.repeat(False, len(column))
        values = [typed(text, column.type, self.timezone, where) for text in texts]
        found = pc.is_in(column, value_set=pa.array(values, column.type), skip_nulls=True)
        return pc.fill_null(found, False)


def choose_column(spec: ScopeSpec, template: PathTemplate | None) -> str | None:
    """The time that start and end speak of: `scope.column`, else the only time of `source.path`.

    SpecError where there are bounds and neither says; None where there are none.
    """
    if spec.column is not None:
        return spec.column
    times = () if template is None else template.time_columns
    if len(times) == 1:
        return times[0]
    if spec.start is None and spec.end is None:
        return None
    found = f"source.path has the times {', '.join(times)}" if times else "source.path has no time"
    raise SpecError(
        f"it is not said which time start and end speak of: {found}",
        where="scope.column",
        next="write scope.column: NAME",
    )


def typed(text: str, kind: pa.DataType, zone: str, where: str) -> pa.Scalar:
    """A text as a value of a type, exactly; a time without an offset is read in `zone`. SpecError names
    `where`, the text and the type where it is no such value."""
    try:
        return _typed(text, kind, zone)
    except (ValueError, OverflowError, InvalidOperation, pa.ArrowException) as error:
        reason = str(error) if isinstance(error, _WrongTextError) else "write a value of that type"
        raise SpecError(f"{text!r} is not a value of type {kind}", where=where, next=reason) from None


class _WrongTextError(ValueError):
    """What is wrong with a text, as the next step to take."""


def _typed(text: str, kind: pa.DataType, zone: str) -> pa.Scalar:
    types = pa.types
    if types.is_string(kind) or types.is_large_string(kind):
        return pa.scalar(text, kind)
    if types.is_integer(kind):
        return pa.scalar(int(_matching(r"[+-]?[0-9]+", text)), kind)
    if types.is_boolean(kind):
        return pa.scalar(_matching("(?i:true|false)", text).lower() == "true", kind)
    if types.is_date(kind):
        return pa.scalar(date.fromisoformat(_matching(r"\d{4}-\d{2}-\d{2}", text)), kind)
    if types.is_decimal(kind):
        return pa.scalar(Decimal(_matching(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?", text)), kind)
    if types.is_floating(kind):
        return pa.scalar(float(_matching(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?", text)), kind)
    if types.is_timestamp(kind):
        return _timestamp(text, kind, zone)
    raise _WrongTextError("use a column of text, numbers, bool, dates or times")


def _matching(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError(text)
    return text


def _timestamp(text: str, kind: pa.DataType, zone: str) -> pa.Scalar:
    match = _TIME.fullmatch(text)
    if match is None:
        raise _WrongTextError("write YYYY-MM-DDTHH:MM:SS; for a whole day use scope.start and scope.end")
    naive = pa.array([f"{match[1]} {match[2]}"]).cast(pa.timestamp(kind.unit)).cast(pa.int64())[0].as_py()
    if not kind.tz:
        if match[3]:
            raise _WrongTextError("the column has no zone: write the time without an offset")
        return pa.scalar(naive, kind)
    seconds = _offset_seconds(match[3]) if match[3] else _zone_seconds(match[1], match[2], zone)
    return pa.scalar(naive - seconds * _UNITS_PER_SECOND[kind.unit], kind)


def _offset_seconds(text: str) -> int:
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:])
    return (hours * 3600 + minutes * 60) * (-1 if text[0] == "-" else 1)


def _zone_seconds(day: str, clock: str, zone: str) -> int:
    local = pa.array([datetime.fromisoformat(f"{day} {clock[:8]}")], pa.timestamp("us"))
    first, last = local_to_instants(local, zone), local_to_instants(local, zone, last=True)
    if first != last or instants_to_local(first, zone) != local:
        raise _WrongTextError(f"{zone} skips this time or has it twice: write it with an offset or Z")
    difference: int = local.cast(pa.int64())[0].as_py() - first[0].as_py()
    return difference // 1_000_000


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def _scalar(value: Any) -> pa.Scalar | None:
    return pa.scalar(value) if isinstance(value, date) else None


def plain_column(column: pa.ChunkedArray) -> pa.Array:
    """One array without dictionaries and views, which comparisons do not take."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string_view(kind):
        kind = pa.string()
    return (column if kind == column.type else column.cast(kind)).combine_chunks()


def _moved(moment: Moment | None, by_us: int) -> Moment | None:
    if moment is None:
        return None
    sign = "+" if by_us > 0 else "-"
    text = f"{moment.text} {sign} {abs(by_us) // 1_000_000}s"
    return Moment(moment.instant + by_us, text, False)
