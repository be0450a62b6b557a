"""Moves the rows of CSV objects into Arrow tables: first as the text they are, then by the schema.

The null text (empty by default), where it is not quoted, is null in every type; a quoted one is the
text. Without a header the columns are f0, f1, and so on. Empty lines are skipped, but in a file of
one column they are rows that hold the null or an empty text. A byte order mark, any line ends (mixed
too) and line ends within quotes are read as such.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.csv

from raybackfill.errors import RaybackfillError, SpecError, UnitError
from raybackfill.model import Piece
from raybackfill.sources import Inspection
from raybackfill.sources.batches import sliced
from raybackfill.sources.compression import HEAD_BYTES, info_of, open_text, read_head, translated
from raybackfill.sources.guessing import guess
from raybackfill.sources.quoting import (
    QuoteWatch,
    TextStream,
    first_malformed,
    first_record,
    recoded,
    whole_records,
)
from raybackfill.sources.text_values import Place, read_column
from raybackfill.spec.values import CsvSpec
from raybackfill.storage import ObjectInfo, ObjectStore

_BLOCK_BYTES_MIN = 1024 * 1024
_BLOCK_BYTES_MAX = 16 * 1024 * 1024
_RECORD_BYTES_MAX = 512 * 1024 * 1024
_WRONG_FIELDS = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)


class _RecordTooLongError(Exception):
    """pyarrow reads whole blocks, and a record is longer than one."""


@dataclass(frozen=True)
class _Reading:
    """One pass over the text of one object, and the error that a fault in it is."""

    key: str
    stream: TextStream
    watch: QuoteWatch
    kind: type[RaybackfillError]


class CsvSource:
    """A Source of comma-separated (or otherwise delimited) text; `.gz` and `.zst` by suffix.

    `timezone`: how times without an offset are read where the schema wants a zone. `overrides`: the
    types that the user gave, which `inspect` reports instead of its guesses.
    """

    def __init__(self, options: CsvSpec, timezone: str, overrides: Mapping[str, pa.DataType]) -> None:
        if len(options.delimiter) != 1 or not options.delimiter.isascii() or options.delimiter in '"\r\n':
            raise SpecError(
                f"{options.delimiter!r} cannot delimit fields", where="source.csv.delimiter",
                next="write one ASCII character that is no quote and no line end",
            )  # fmt: skip
        try:
            codecs.lookup(options.encoding)
        except LookupError:
            raise SpecError(
                f"{options.encoding!r} is no encoding that Python knows", where="source.csv.encoding",
                next="write utf-8, latin-1, cp1252 or another of Python's names",
            ) from None  # fmt: skip
        self._options = options
        self._timezone = timezone
        self._overrides = dict(overrides)

    def combine(self, schemas: Sequence[pa.Schema]) -> Literal["typed", "text"]:
        return "text"

    def inspect(self, store: ObjectStore, info: ObjectInfo, bounds_of: str | None = None) -> Inspection:
        head = read_head(store, info)
        with translated(info.key, SpecError):
            data = recoded(head.data, self._options.encoding, head.whole)
        if not head.whole:
            data = data[: whole_records(data)]
        texts = self._head_texts(info.key, data)
        types = {name: self._overrides.get(name) or guess(texts.column(name)) for name in texts.column_names}
        decoded = _decoded_bytes(texts, types) * info.size * head.ratio / max(len(head.data), 1)
        return Inspection(pa.schema(types), texts.num_rows if head.whole else -1, int(decoded))

    def read(
        self, store: ObjectStore, piece: Piece, schema: pa.Schema, batch_bytes: int
    ) -> Iterator[pa.Table]:
        rows = 0
        for batch in self._texts(store, piece, max(batch_bytes // 8, _BLOCK_BYTES_MIN)):
            names = [name for name in batch.schema.names if name in schema.names]
            # Selecting no columns at all keeps the rows; a new table of none would have none.
            table = pa.Table.from_batches([batch]).select(names)
            for index, name in enumerate(names):
                place = Place(piece.key, name, rows)
                column = read_column(batch.column(name), schema.field(name).type, self._timezone, place)
                table = table.set_column(index, name, column)
            rows += batch.num_rows
            yield from sliced(table, batch_bytes)

    def _head_texts(self, key: str, data: bytes) -> pa.Table:
        reading = self._begin(key, pa.BufferReader(data), SpecError, encoding="utf-8")
        names = self._names(reading)
        batches = list(self._batches(reading, names, len(data) + 2))
        if reading.watch.suspicious:
            self._check_quotes(key, pa.BufferReader(data), SpecError, encoding="utf-8")
        return pa.Table.from_batches(batches, pa.schema([(name, pa.string()) for name in names]))

    def _texts(self, store: ObjectStore, piece: Piece, block_bytes: int) -> Iterator[pa.RecordBatch]:
        """All rows as text. Where a record is longer than a block, the object is read again in
        larger ones, and the rows that were given already are passed over."""
        given = 0
        block_bytes = _block_bytes(block_bytes)
        while True:
            passed = 0
            try:
                for batch in self._pass(store, piece, block_bytes):
                    fresh = batch.slice(min(max(given - passed, 0), batch.num_rows))
                    passed += batch.num_rows
                    given = max(given, passed)
                    if fresh.num_rows:
                        yield fresh
                return
            except _RecordTooLongError:
                block_bytes *= 4
                if block_bytes > _RECORD_BYTES_MAX:
                    raise _broken(
                        piece.key, f"a record after row {given} is longer than {_RECORD_BYTES_MAX} bytes"
                    ) from None

    def _pass(self, store: ObjectStore, piece: Piece, block_bytes: int) -> Iterator[pa.RecordBatch]:
        info = info_of(piece)
        with translated(info.key):
            reading = self._begin(info.key, open_text(store, info), UnitError)
            yield from self._batches(reading, self._names(reading), block_bytes)
            if reading.watch.suspicious:
                self._check_quotes(info.key, open_text(store, info), UnitError)

    def _begin(
        self, key: str, file: pa.NativeFile, kind: type[RaybackfillError], encoding: str | None = None
    ) -> _Reading:
        watch = QuoteWatch(self._options.delimiter)
        return _Reading(key, TextStream(file, encoding or self._options.encoding, watch), watch, kind)

    def _names(self, reading: _Reading) -> list[str]:
        """The columns' names, from the first record. No records at all: a file without a header has
        no rows then, and one that should have a header is broken."""
        with translated(reading.key, reading.kind):
            text = reading.stream.peek_record(HEAD_BYTES).decode("utf-8-sig", errors="replace")
        record = first_record(text, self._options.delimiter)
        if not self._options.header:
            return [f"f{index}" for index in range(len(record or ()))]
        if record is None:
            raise _broken(reading.key, "it is empty; its first line should name the columns", reading.kind)
        for number, name in enumerate(record, start=1):
            if not name:
                raise _broken(reading.key, f"column {number} has no name in the header", reading.kind)
            if record.index(name) + 1 < number:
                raise _broken(reading.key, f"the header names column {name} twice", reading.kind)
        return record

    def _batches(self, reading: _Reading, names: Sequence[str], block_bytes: int) -> Iterator[pa.RecordBatch]:
        if not names:
            return
        with translated(reading.key, reading.kind):
            try:
                reader = self._open(reading, names, block_bytes)
                if reader.schema.names != list(names):
                    raise _broken(reading.key, f"its header is not read as {names}", reading.kind)
                yield from reader
            except pa.ArrowInvalid as error:
                if "straddl" in str(error):
                    raise _RecordTooLongError from None
                wrong = _WRONG_FIELDS.search(str(error))
                if wrong is None:
                    raise
                raise _wrong_fields(reading, wrong) from None

    def _open(self, reading: _Reading, names: Sequence[str], block_bytes: int) -> pa.csv.CSVStreamingReader:
        return pa.csv.open_csv(
            reading.stream,
            read_options=pa.csv.ReadOptions(
                use_threads=False,
                block_size=block_bytes,
                autogenerate_column_names=not self._options.header,
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=self._options.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(names) > 1,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=[self._options.null],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _check_quotes(
        self, key: str, file: pa.NativeFile, kind: type[RaybackfillError], encoding: str | None = None
    ) -> None:
        stream = self._begin(key, file, kind, encoding).stream
        with translated(key, kind):
            lines = io.TextIOWrapper(stream, encoding="utf-8", newline="")  # type: ignore[type-var]
            fault = first_malformed(lines, self._options.delimiter)
        if fault:
            number, what = fault
            raise _broken(key, f"record {number} has malformed quotes ({what})", kind)


def _block_bytes(wanted: int) -> int:
    return min(max(wanted, _BLOCK_BYTES_MIN), _BLOCK_BYTES_MAX)


def _decoded_bytes(texts: pa.Table, types: Mapping[str, pa.DataType]) -> int:
    """What the texts take up as values of these types, or as texts if that is more: both are held
    for a moment."""
    width = {name: 8 if pa.types.is_primitive(kind) else 16 for name, kind in types.items()}
    return sum(max(texts.column(name).nbytes, texts.num_rows * width[name]) for name in types)


def _wrong_fields(reading: _Reading, found: re.Match[str]) -> RaybackfillError:
    """`found` is what pyarrow says; the header counts as the first record there."""
    number, expected, actual, text = found.groups()
    shown = text if len(text) <= 100 else text[:100] + "..."
    what = f"record {number} has {actual} fields, not {expected}: {shown!r}"
    return _broken(reading.key, what, reading.kind)


def _broken(key: str, what: str, kind: type[RaybackfillError] = UnitError) -> RaybackfillError:
    return kind(what, where=key, next="repair or replace the object, or say how it is written in source.csv")
