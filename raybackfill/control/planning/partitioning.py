"""Decides the target's folders: which one a row belongs to, and which ones a scope is about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.levels import (
    Level,
    codes_of,
    encode,
    escape,
    level_of,
    restored_value,
    value_type,
    writer_of,
    written,
    wrong_layout,
)
from raybackfill.control.planning.scope import Scope, plain_column, typed
from raybackfill.control.planning.segments import Captures, Segment
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.control.planning.times import (
    check_zone,
    finest,
    intervals_of,
    joined,
    known_chain,
    local_of,
    local_to_instants,
    locals_between,
    to_instants,
)
from raybackfill.errors import SpecError
from raybackfill.spec.values import PartitionField

OUTSIDE, PARTIAL, INSIDE = 0, 1, 2
COUNTED_MAX = 5_000_000
"""Folders that `missing` goes through at most: ten thousand years of hours would be 87 million."""

_NAMES = pa.array(["outside", "partial", "inside"])
_TIME_OF_DAY = re.compile(r"[0-9]{2}:[0-9]{2}")
_LOWEST, _HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass(frozen=True)
class Missing:
    """Folders of the scope that are not there: how many, and the first few names."""

    count: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class Partitioning:
    """The folders of a target. Rows are placed by their values, times in `timezone`.

    `source_template` tells what a folder of the source that the target keeps says of its time.
    """

    fields: Sequence[PartitionField]
    timezone: str
    source_template: PathTemplate | None = None

    def __post_init__(self) -> None:
        check_zone(self.timezone)
        names = [field.name for field in self.fields]
        for name in names:
            if names.count(name) > 1:
                raise wrong_layout(f"{name} is there twice", "name each folder once")
            if not name or name[0] in "_.":
                raise wrong_layout(f"readers skip folders named {name!r}", "choose another name")
        for level in self._levels:
            if level.time in names and self.fields[names.index(str(level.time))].template is not None:
                raise wrong_layout(f"{level.time} is both a folder and a time", "rename the folder")

    @cached_property
    def _levels(self) -> tuple[Level, ...]:
        return tuple(level_of(field) for field in self.fields)

    def file_columns(self, schema: pa.Schema) -> list[str]:
        """The columns that are written into the files. SpecError where the output lacks a column, has
        one named like a templated folder, or a type that a folder cannot be named by."""
        for level in self._levels:
            needed = level.time or level.name
            if needed not in schema.names:
                raise wrong_layout(f"the output has no column {needed}", f"it has {', '.join(schema.names)}")
            if level.time and level.name in schema.names:
                raise wrong_layout(
                    f"the output has a column {level.name}, but that folder is made of {level.time}",
                    "drop the column or name the folder differently",
                )
            kind = value_type(schema.field(needed).type)
            if level.time and not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
                raise wrong_layout(f"column {needed} is {kind}, not a time", "declare a date or timestamp")
            if not level.time:
                writer_of(kind, needed)
        own = {level.name for level in self._levels if not level.time}
        kept = [name for name in schema.names if name not in own]
        if not kept:
            raise wrong_layout("all columns name folders, so the files would have none", "keep one column")
        return kept

    def folders(self, table: pa.Table) -> pa.Array:
        """The folder of each row, "dt=2025-01-01/region=eu%2Fwest", as strings ("" without fields).

        UnitError where a value has no folder of its own (an empty text, a year beyond 9999).
        """
        encoded = self.folder_codes(table)
        if len(encoded.dictionary) == 1:
            return pa.repeat(encoded.dictionary[0], table.num_rows)
        return encoded.dictionary.take(encoded.indices)

    def folder_codes(self, table: pa.Table) -> pa.DictionaryArray:
        """`folders` as a dictionary array: the few names, and for each row which; no nulls."""
        codes, names = pa.repeat(pa.scalar(0, pa.int32()), table.num_rows), pa.array([""])
        for level in self._levels:
            column = plain_column(self._column(table, level))
            texts = level.texts(column, self.timezone)
            if len(texts.dictionary) == 1 and level is self._levels[0]:
                # The usual batch lies in one folder: nothing is to be reckoned row by row.
                codes, names = texts.indices, texts.dictionary
                continue
            wide = pc.add(pc.multiply(codes.cast(pa.int64()), len(texts.dictionary)), texts.indices)
            pairs = encode(wide)
            outer = pc.divide(pairs.dictionary, len(texts.dictionary))
            inner = pc.subtract(pairs.dictionary, pc.multiply(outer, len(texts.dictionary)))
            parts = [names.take(outer), texts.dictionary.take(inner)]
            names = parts[1] if level is self._levels[0] else pc.binary_join_element_wise(*parts, "/")
            codes = pairs.indices
        return pa.DictionaryArray.from_arrays(codes, names)

    def _column(self, table: pa.Table, level: Level) -> pa.ChunkedArray:
        name = level.time or level.name
        if name not in table.column_names:
            raise wrong_layout(f"the output has no column {name}", f"it has {', '.join(table.column_names)}")
        return table.column(name)

    def fits(self, folders: pa.Array) -> pa.BooleanArray:
        """Which folders are of this layout."""
        fits = pc.fill_null(pc.is_valid(self._split(folders)), False)
        numbers: dict[str, list[tuple[str, pa.Array]]] = {}
        absent: dict[str, pa.Array] = {}
        for level, captures in self._read(folders):
            fits = pc.and_(fits, captures.fits)
            if level.time:
                numbers.setdefault(level.time, []).extend(captures.pieces)
                absent[level.time] = pc.or_(absent.get(level.time, captures.null), captures.null)
        for time, pieces in numbers.items():
            # Without a year, one that has all days tells whether the other pieces can be.
            has_year = any(granularity == "year" for granularity, _ in pieces)
            joint, agree = joined(pieces if has_year else [("year", pa.repeat(2000, len(folders))), *pieces])
            fits = pc.and_(fits, pc.or_(absent[time], pc.and_(agree, local_of(joint).is_valid())))
        return fits

    def parse(self, folders: pa.Array) -> pa.Table:
        """The texts of the values in existing folders, one column a level, percent-decoded; null for a
        null and for folders of another layout (see `fits`)."""
        fits = self.fits(folders)
        columns = {
            level.name: pc.if_else(fits, captures.texts[level.name], pa.scalar(None, pa.string()))
            for level, captures in self._read(folders)
        }
        return pa.table(columns)

    def restore(self, folder: str, schema: pa.Schema) -> dict[str, pa.Scalar]:
        """The values that an old file's rows have by its folder, in the types of the output's schema.

        SpecError where the folder is of another layout or its text is no value of that type.
        """
        folders = pa.array([folder], pa.string())
        if not self.fits(folders)[0].as_py():
            layout = "/".join(f"{level.name}=.." for level in self._levels) or "without folders"
            raise SpecError(f"the folder {folder!r} is not of the layout {layout}", where="target.uri")
        return {
            level.name: restored_value(
                captures.texts[level.name][0].as_py(), value_type(schema.field(level.name).type), folder
            )
            for level, captures in self._read(folders)
            if level.time is None
        }

    def classify(self, folders: pa.Array, scope: Scope) -> pa.Array:
        """For each folder "inside" (all its rows are in scope), "outside" (none is), "partial" (some may
        be), or "foreign" (it is not of this layout)."""
        fits = self.fits(folders)
        state = np.full(len(folders), INSIDE, dtype=np.int8)
        if scope.has_bounds:
            times, wrong = self._time_states(folders, scope)
            state, fits = np.minimum(state, times), pc.and_not(fits, wrong)
        read = [(level.name, captures.texts) for level, captures in self._read(folders) if not level.time]
        values = {name: texts[name] for name, texts in read}
        for included, wanted in ((True, scope.spec.include), (False, scope.spec.exclude)):
            for name, texts in wanted.items():
                known = _value_states(values.get(name), texts, included)
                state = np.minimum(state, known)
        return pc.if_else(fits, _NAMES.take(pa.array(state)), "foreign")

    def missing(self, scope: Scope, present: pa.Array, first: int = 5) -> Missing | None:
        """Folders in [start, end) that are not `present`, where both bounds are given and every level is
        written with nothing but the scope's time; None elsewhere, or above COUNTED_MAX of them."""
        expected = self._expected(scope)
        if expected is None:
            return None
        absent = expected.filter(pc.invert(pc.is_in(expected, value_set=present)))
        return Missing(len(absent), tuple(absent.slice(0, first).to_pylist()))

    def _split(self, folders: pa.Array) -> pa.StructArray:
        body = "/".join(
            f"{re.escape(escape(level.name))}=(?P<s{at}>[^/]*)" for at, level in enumerate(self._levels)
        )
        return pc.extract_regex(folders, f"^(?:{body})$")

    def _read(self, folders: pa.Array) -> Iterator[tuple[Level, Captures]]:
        groups = self._split(folders)
        for at, level in enumerate(self._levels):
            encoded = pc.dictionary_encode(pc.struct_field(groups, f"s{at}"))
            yield level, level.segment.read(encoded.dictionary).take(encoded.indices)

    def _source_segment(self, name: str, time: str | None) -> Segment | None:
        if self.source_template is None or time is None:
            return None
        return self.source_template.piece_of(name, time)

    def _time_states(self, folders: pa.Array, scope: Scope) -> tuple[np.ndarray, pa.Array]:
        """What the folders tell of the scope's time, and which name a value that is no time."""
        rows = len(folders)
        span = _Span(np.full(rows, _LOWEST), np.full(rows, _HIGHEST))
        null, wrong = pa.repeat(False, rows), pa.repeat(False, rows)
        own: list[tuple[str, pa.Array]] = []
        source: list[tuple[str, pa.Array]] = []
        for level, captures in self._read(folders):
            segment = self._source_segment(level.name, scope.column)
            if level.time is not None and level.time == scope.column:
                own += captures.pieces
                null = pc.or_(null, captures.null)
            elif level.time is None and level.name == scope.column:
                instants = _instants(captures.texts[level.name], scope.timezone)
                wrong = pc.and_not(pc.invert(captures.null), pc.is_valid(instants))
                span = span.narrowed(instants, pc.add(instants, 1))
                null = pc.or_(null, captures.null)
            elif level.time is None and segment is not None:
                source += _source_pieces(segment, captures.texts[level.name], captures.null)
                null = pc.or_(null, captures.null)
        span = span.narrowed(*_hull(own, (self.timezone, scope.timezone)))
        if self.source_template is not None:
            span = span.narrowed(*_hull(source, (self.source_template.timezone, scope.timezone)))
        return span.states(scope, _flags(null)), wrong

    def _expected(self, scope: Scope) -> pa.Array | None:
        column, start, end = scope.column, scope.start_us, scope.end_us
        if column is None or start is None or end is None or not self._levels:
            return None
        sources = {level.name: self._source_segment(level.name, column) for level in self._levels}
        by_path = self.source_template is not None and column in self.source_template.granularities
        for level in self._levels:
            by_name = by_path and (level.name == column or sources[level.name] is not None)
            if level.time != column and not (level.time is None and by_name):
                return None
        zone, granularity, kind = self._steps(column)
        locals_ = locals_between(start, end, granularity, zone, COUNTED_MAX)
        if locals_ is None:
            return None
        instants = local_to_instants(locals_, zone)
        values = instants.cast(kind) if pa.types.is_timestamp(kind) else locals_.cast(kind)
        columns = {column: values}
        for name, segment in sources.items():
            if name != column and segment is not None:
                texts = [written(segment, local) for local in locals_.to_pylist()]
                columns[name] = pa.array(texts, pa.string())
        expected = pc.unique(self.folders(pa.table(columns)))
        return expected.filter(pc.not_equal(self.classify(expected, scope), "outside"))

    def _steps(self, column: str) -> tuple[str, str, pa.DataType]:
        """Zone, unit and type of the values that the scope's time takes, one for each folder at least."""
        template = self.source_template
        if template is not None and column in template.granularities:
            return template.timezone, template.granularities[column], template.column_type(column)
        granularity = finest({level.granularity for level in self._levels})
        return self.timezone, granularity, pa.timestamp("us", self.timezone)


@dataclass(frozen=True)
class _Span:
    """For each folder the half-open interval that holds the scope's time in all its rows."""

    starts: np.ndarray
    ends: np.ndarray

    def narrowed(self, starts: pa.Array | None, ends: pa.Array | None) -> _Span:
        """Within another interval too, where that is known."""
        if starts is None or ends is None:
            return self
        first = pc.fill_null(starts, _LOWEST).to_numpy()
        last = pc.fill_null(ends, _HIGHEST).to_numpy()
        return _Span(np.maximum(self.starts, first), np.minimum(self.ends, last))

    def states(self, scope: Scope, null: np.ndarray) -> np.ndarray:
        low = _LOWEST if scope.start_us is None else scope.start_us
        high = _HIGHEST if scope.end_us is None else scope.end_us
        # Levels that contradict each other say nothing that can be relied on.
        clear = self.starts < self.ends
        state = np.full(len(null), PARTIAL, dtype=np.int8)
        state[clear & (self.starts >= low) & (self.ends <= high)] = INSIDE
        state[clear & ((self.ends <= low) | (self.starts >= high))] = OUTSIDE
        state[null] = OUTSIDE
        return state


def _instants(texts: pa.Array, zone: str) -> pa.Array:
    """Instants of ISO dates and times; null where a text is neither."""

    def instant(text: str | None) -> int | None:
        if text is None:
            return None
        kind = pa.date32() if len(text) == 10 else pa.timestamp("ns", "UTC" if text.endswith("Z") else None)
        try:
            value = typed(text, kind, zone, "")
        except SpecError:
            return None
        moment: int = to_instants(pa.array([value], kind), zone)[0].as_py()
        return moment

    encoded = pc.dictionary_encode(texts)
    found = pa.array([instant(text) for text in encoded.dictionary.to_pylist()], pa.int64())
    return found.take(encoded.indices)


def _source_pieces(segment: Segment, texts: pa.Array, null: pa.Array) -> list[tuple[str, pa.Array]]:
    """The pieces of the source's time in a column's texts. A column of single numbers may have been
    declared an integer, whose text has lost the zeros before it."""
    codes = codes_of(segment)
    if len(codes) == 1 and len(segment.tokens) == 1:
        is_number = pc.match_substring_regex(texts, "^[0-9]{1,4}$")
        digits = pc.if_else(is_number, texts, pa.scalar(None, pa.string()))
        return [(codes[0].granularity, digits.cast(pa.int16()))]
    return segment.read_texts(texts, null).pieces


def _hull(
    pieces: Sequence[tuple[str, pa.Array]], zones: Sequence[str]
) -> tuple[pa.Array, pa.Array] | tuple[None, None]:
    """The interval of the time that pieces tell, in whichever of the zones it is read."""
    by_granularity, agree = joined(pieces)
    chain = known_chain(by_granularity)
    if not chain:
        return None, None
    local = local_of({name: by_granularity[name] for name in chain})
    local = pc.if_else(agree, local, pa.scalar(None, local.type))
    spans = [intervals_of(local, chain[-1], zone) for zone in sorted(set(zones))]
    starts, ends = zip(*spans, strict=True)
    return pc.min_element_wise(*starts), pc.max_element_wise(*ends)


def _value_states(texts: pa.Array | None, wanted: Sequence[str], included: bool) -> np.ndarray:
    """What folders with these texts (None: not a folder's column) tell of include or exclude values."""
    if texts is None:
        return np.array([PARTIAL], dtype=np.int8)
    encoded = pc.dictionary_encode(texts)
    states = [_agreement(text, wanted) for text in encoded.dictionary.to_pylist()]
    indices = pc.fill_null(encoded.indices, len(states)).to_numpy()
    # A null is in neither: not among the included, not taken away by exclude.
    found: np.ndarray = np.array([*states, OUTSIDE], dtype=np.int8)[indices]
    return found if included else np.subtract(INSIDE, found, dtype=np.int8)


def _agreement(text: str, wanted: Sequence[str]) -> int:
    if text in wanted:
        return INSIDE
    return PARTIAL if any(_may_be_equal(text, other) for other in wanted) else OUTSIDE


def _may_be_equal(text: str, other: str) -> bool:
    """Whether two different texts may be one value of some type: 8 and 08, true and TRUE, one instant
    in two ways. The column's type is not known here, so that it is left open."""
    if text.lower() == other.lower() and text.lower() in ("true", "false"):
        return True
    if _TIME_OF_DAY.search(text) and _TIME_OF_DAY.search(other):
        return True
    try:
        return Decimal(text) == Decimal(other)
    except (InvalidOperation, ValueError):
        return False


def _flags(column: pa.Array) -> np.ndarray:
    flags: np.ndarray = column.to_numpy(zero_copy_only=False)
    return flags
