"""Moves the rows of JSON lines objects into Arrow tables, by the schema and without loss.

pyarrow reads a block of lines at once, with every type given, so that nothing is guessed. A block
that it refuses, or could have read with a loss, is read line by line instead, which converts what
the schema allows (numbers of a string column keep their exact text) or names the line, the column
and the value. Blank lines are skipped. A key that the schema does not have is refused: it must not
vanish.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from pyarrow import types as kinds

from raybackfill.control.arrow import widening
from raybackfill.errors import RaybackfillError, SpecError, UnitError
from raybackfill.model import Piece
from raybackfill.sources import Inspection
from raybackfill.sources.batches import sliced
from raybackfill.sources.compression import info_of, open_text, read_head, translated
from raybackfill.sources.json.lines import BadLineError, numbered, read_line
from raybackfill.sources.json.shapes import Columns, TwoShapesError
from raybackfill.sources.json.values import BadValueError, UnknownKeyError, read_values
from raybackfill.sources.text_values import MisfitError, Place, convert, refused
from raybackfill.storage import ObjectInfo, ObjectStore

_BLOCK_BYTES_MIN = 256 * 1024
_BLOCK_BYTES_MAX = 8 * 1024 * 1024
_LINE_BYTES_MAX = 512 * 1024 * 1024
_EXACT_MAX = 2.0**53
_MARK = b"\xef\xbb\xbf"


class JsonlSource:
    """A Source of one JSON object a line; `.gz` and `.zst` by suffix.

    `timezone`: how times without an offset are read where the schema wants a zone. `overrides`: the
    types that the user gave, which `inspect` reports instead of what the objects show.
    """

    def __init__(self, timezone: str, overrides: Mapping[str, pa.DataType]) -> None:
        self._timezone = timezone
        self._overrides = dict(overrides)

    def combine(self, schemas: Sequence[pa.Schema]) -> Literal["typed", "text"]:
        return "typed"

    def inspect(self, store: ObjectStore, info: ObjectInfo, bounds_of: str | None = None) -> Inspection:
        head = read_head(store, info)
        data = head.data if head.whole else head.data[: head.data.rfind(b"\n") + 1]
        columns = Columns(self._overrides)
        rows = 0
        for number, line in numbered(data.removeprefix(_MARK), 0):
            try:
                columns.see(read_line(line), number)
            except BadLineError as bad:
                raise _bad_line(info.key, number, str(bad), SpecError) from None
            except TwoShapesError as two:
                raise _two_shapes(info.key, two) from None
            rows += 1
        schema = columns.schema()
        decoded = self._decoded_bytes(info.key, schema, data) * info.size * head.ratio / max(len(data), 1)
        return Inspection(schema, rows if head.whole else -1, int(decoded))

    def _decoded_bytes(self, key: str, schema: pa.Schema, data: bytes) -> int:
        """What these bytes take up in Arrow; as much as they are where a value does not fit what the
        user said of its column, which is the unit's error to tell."""
        try:
            reading = _Reading(key, schema, self._timezone, self._overrides)
            return int(reading.table(data.removeprefix(_MARK), 0).nbytes)
        except UnitError:
            return len(data)

    def read(
        self, store: ObjectStore, piece: Piece, schema: pa.Schema, batch_bytes: int
    ) -> Iterator[pa.Table]:
        info = info_of(piece)
        reading = _Reading(info.key, schema, self._timezone, self._overrides)
        with translated(info.key):
            lines = 0
            for block in _blocks(info.key, open_text(store, info), batch_bytes // 8):
                yield from sliced(reading.table(block, lines), batch_bytes)
                lines += block.count(b"\n")


def _blocks(key: str, file: pa.NativeFile, wanted: int) -> Iterator[bytes]:
    """The text in blocks of whole lines, each about `wanted` bytes, larger where a line is."""
    size = min(max(wanted, _BLOCK_BYTES_MIN), _BLOCK_BYTES_MAX)
    parts: list[bytes] = []
    held = 0
    first = True
    while data := bytes(file.read(size)):
        data, first = (data.removeprefix(_MARK) if first else data), False
        end = data.rfind(b"\n") + 1
        if end:
            yield b"".join([*parts, data[:end]])
            parts, held = [], 0
        parts.append(data[end:])
        held += len(data) - end
        if held > _LINE_BYTES_MAX:
            raise _broken(key, f"it has a line of more than {_LINE_BYTES_MAX} bytes")
    if held:
        yield b"".join(parts)


class _Reading:
    """Reads the blocks of one object into tables of the schema."""

    def __init__(
        self, key: str, schema: pa.Schema, timezone: str, overrides: Mapping[str, pa.DataType]
    ) -> None:
        self._key = key
        self._schema = schema
        self._timezone = timezone
        self._overrides = overrides
        self._arrow_schema = _arrow_schema(schema)

    def table(self, block: bytes, lines_before: int) -> pa.Table:
        """The block's rows. `lines_before`: how many lines of the object precede it."""
        found = self._at_once(block)
        return self._line_by_line(block, lines_before) if found is None else found

    def _at_once(self, block: bytes) -> pa.Table | None:
        """The block as pyarrow reads it, or None where it does not, or where that may not be exact."""
        if self._arrow_schema is None or not block.strip():
            return None
        try:
            found = pa.json.read_json(
                pa.BufferReader(block),
                read_options=pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                parse_options=pa.json.ParseOptions(
                    explicit_schema=self._arrow_schema, unexpected_field_behavior="error"
                ),
            )
            if not _is_one_a_line(block, found.num_rows):
                return None
            if not all(map(_is_exact, found.columns)) or not _is_utf8(block):
                return None
            columns = [self._typed(found.column(field.name), field.type) for field in self._schema]
        except (pa.ArrowInvalid, MisfitError):
            return None
        return _tabled(columns, self._schema, found.num_rows)

    def _typed(self, column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
        if column.type.equals(wanted):
            return column
        return pa.chunked_array(
            [convert(chunk, wanted, self._timezone) for chunk in column.chunks], type=wanted
        )

    def _line_by_line(self, block: bytes, lines_before: int) -> pa.Table:
        numbers, rows = [], []
        for number, line in numbered(block, lines_before):
            try:
                rows.append(read_line(line))
            except BadLineError as bad:
                raise _bad_line(self._key, number, str(bad), UnitError) from None
            numbers.append(number)
        self._refuse_unknown(rows, numbers)
        columns = [self._column(field, rows, numbers) for field in self._schema]
        return _tabled(columns, self._schema, len(rows))

    def _refuse_unknown(self, rows: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> None:
        known = set(self._schema.names)
        for row, number in zip(rows, numbers, strict=True):
            if not known.issuperset(row):
                raise _unknown(self._key, next(key for key in row if key not in known), number)

    def _column(self, field: pa.Field, rows: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> pa.Array:
        values = [row.get(field.name) for row in rows]
        told = field.name in self._overrides
        try:
            return read_values(values, field.type, field.name, self._timezone, told)
        except BadValueError as bad:
            place = Place(self._key, bad.path)
            line = f"line {numbers[bad.index]}"
            raise refused(place, bad.value, str(bad.wanted), line, bad.reason) from None
        except UnknownKeyError as unknown:
            raise _unknown(self._key, unknown.path, numbers[unknown.index]) from None


def _tabled(columns: Sequence[pa.Array | pa.ChunkedArray], schema: pa.Schema, rows: int) -> pa.Table:
    """A table that has its rows even where it has no columns."""
    if columns:
        return pa.table(columns, schema=schema)
    return pa.table({"": pa.nulls(rows)}).select([])


def _is_one_a_line(block: bytes, rows: int) -> bool:
    """Whether each line that is not blank begins an object, and there are as many as rows. pyarrow
    takes objects that share a line or span several, and makes a row of nulls of the word null."""
    if block.count(b"\n{") + block.startswith(b"{") != rows:
        return False
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    return lines == rows or sum(1 for line in block.split(b"\n") if line.strip()) == rows


def _arrow_schema(schema: pa.Schema) -> pa.Schema | None:
    """The schema in types that pyarrow's reader takes: what it would guess at is text at first.
    None where there is no such schema, because lists or objects hold such types."""
    fields = []
    for field in schema:
        if _is_read_by_arrow(field.type):
            fields.append(pa.field(field.name, field.type))
        elif kinds.is_nested(field.type):
            return None
        else:
            fields.append(pa.field(field.name, pa.string()))
    return pa.schema(fields)


def _is_read_by_arrow(kind: pa.DataType) -> bool:
    if kinds.is_struct(kind):
        return all(_is_read_by_arrow(field.type) for field in widening.fields_of(kind))
    if kinds.is_list(kind):
        return _is_read_by_arrow(kind.value_type)
    return bool(
        kinds.is_integer(kind)
        or kinds.is_float32(kind)
        or kinds.is_float64(kind)
        or kinds.is_decimal128(kind)
        or kinds.is_boolean(kind)
        or kinds.is_null(kind)
        or kinds.is_string(kind)
    )


def _is_exact(column: pa.ChunkedArray) -> bool:
    """Whether no float among the values may stand for another number: a whole one beyond 2^53 may
    have been rounded, and NaN is no JSON although pyarrow takes it."""
    kind = column.type
    if kinds.is_struct(kind):
        return all(_is_exact(part) for part in column.flatten())
    if kinds.is_list(kind):
        return _is_exact(pc.list_flatten(column))
    if not kinds.is_floating(kind):
        return True
    exact = pc.less(pc.abs(column), _EXACT_MAX)
    return bool(pc.all(exact, skip_nulls=True, min_count=0).as_py())


def _is_utf8(block: bytes) -> bool:
    """pyarrow does not look."""
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _bad_line(key: str, number: int, what: str, kind: type[RaybackfillError]) -> RaybackfillError:
    return kind(f"line {number}: {what}", where=key, next="write one JSON object a line")


def _unknown(key: str, column: str, number: int) -> UnitError:
    return UnitError(
        f"line {number} has the key {column}, which the plan did not see",
        where=key,
        next=f"add it to source.schema: {{{column.split('.')[0]}: ...}}",
    )


def _two_shapes(key: str, two: TwoShapesError) -> SpecError:
    column = two.column.split(".")[0].removesuffix("[]")
    return SpecError(
        f"column {two.column} {two.reason}",
        where=key,
        next=f"say what it is with source.schema: {{{column}: string}}, or another type",
    )


def _broken(key: str, what: str) -> UnitError:
    return UnitError(what, where=key, next="write one JSON object a line")
