"""Moves the rows of Parquet objects into Arrow tables, in the file's own types.

pyarrow reads them, with page check sums where the file has them: of a broken file it says so. Types
that Arrow's extensions add are read as what they are stored in. INT96 times are read in microseconds,
and never rounded: `footers.times` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types as kinds

from raybackfill.control.arrow import widening
from raybackfill.control.arrow.ascii import is_ascii
from raybackfill.control.planning.aligning import fit
from raybackfill.errors import RaybackfillError, SpecError, UnitError
from raybackfill.model import Piece
from raybackfill.sources import Inspection
from raybackfill.sources.batches import sliced
from raybackfill.sources.compression import info_of, translated
from raybackfill.sources.footers.repeats import as_text, repeating_columns
from raybackfill.sources.footers.sizes import column_bounds, decoded_bytes
from raybackfill.sources.footers.times import exact_times, int96_columns
from raybackfill.sources.text_values import Place, read_column
from raybackfill.storage import ObjectInfo, ObjectStore
from raybackfill.storage.reading import open_tail

_MAGIC = b"PAR1"
_MAGIC_ENCRYPTED = b"PARE"
_SIZE_MIN = 12
"""Magic, an empty footer, its length, magic."""


class ParquetSource:
    """A Source of Parquet files, which can be read by row groups.

    `overrides`: the types that the user gave. Their columns are read as these: texts as `text_values`
    reads them, other values if they stay what they are. `timezone`: how times without a zone are
    read where such a type has one.
    """

    def __init__(self, overrides: Mapping[str, pa.DataType], timezone: str = "UTC") -> None:
        self._overrides = dict(overrides)
        self._timezone = timezone

    def combine(self, schemas: Sequence[pa.Schema]) -> Literal["typed", "text"]:
        return "typed"

    def inspect(self, store: ObjectStore, info: ObjectInfo, bounds_of: str | None = None) -> Inspection:
        with translated(info.key, SpecError):
            parquet = _open(info, open_tail(store, info), SpecError)
            footer, shown = parquet.metadata, parquet.schema_arrow
            sizes = decoded_bytes(footer, shown)
            bounds = column_bounds(footer, bounds_of)
        groups = tuple((footer.row_group(index).num_rows, size) for index, size in enumerate(sizes))
        if sum(rows for rows, _ in groups) != footer.num_rows:
            what = f"its footer says {footer.num_rows} rows, and its row groups say another number"
            raise _broken(info.key, what, SpecError)
        schema = pa.schema(
            [
                pa.field(field.name, self._overrides.get(field.name) or _stored(field.type), field.nullable)
                for field in shown
            ]
        )
        return Inspection(schema, footer.num_rows, sum(sizes), groups, bounds)

    def read(
        self, store: ObjectStore, piece: Piece, schema: pa.Schema, batch_bytes: int
    ) -> Iterator[pa.Table]:
        info = info_of(piece)
        with translated(info.key):
            file = store.open(info, whole=piece.row_groups is None)
            reading = _Reading(info, file, schema, batch_bytes)
            for table, rows_before in reading.tables(piece):
                yield from sliced(self._typed(info.key, table, schema, rows_before), batch_bytes)

    def _typed(self, key: str, table: pa.Table, schema: pa.Schema, rows_before: int) -> pa.Table:
        """The table with stored types, and the types that the user gave."""
        for index, field in enumerate(table.schema):
            told = self._overrides.get(field.name)
            column = table.column(index)
            if told is not None and not told.equals(field.type):
                column = self._told(column, told, Place(key, field.name, rows_before))
            elif isinstance(field.type, pa.BaseExtensionType):
                column = fit(column, field.type.storage_type)
            else:
                continue
            table = table.set_column(index, pa.field(field.name, column.type), column)
        return table

    def _told(self, column: pa.ChunkedArray, wanted: pa.DataType, place: Place) -> pa.ChunkedArray:
        try:
            if kinds.is_timestamp(column.type) and kinds.is_timestamp(wanted):
                return fit(self._zoned(column, wanted), wanted)
            if not widening.is_text(widening.storage_of(column.type)) or widening.is_text(wanted):
                return fit(column, wanted)
        except ValueError as error:
            raise UnitError(
                f"column {place.column}: {error}; rows are counted from row {place.rows_before + 1} on",
                where=place.key,
                next=f"give another type in source.schema: {{{place.column}: ...}}",
            ) from None
        text = fit(column, pa.string()).combine_chunks()
        array = pa.concat_arrays(text.chunks) if isinstance(text, pa.ChunkedArray) else text
        return pa.chunked_array([read_column(array, wanted, self._timezone, place)], wanted)

    def _zoned(self, column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
        """Times without a zone, where one is wanted, as instants of the source's time zone. ValueError
        (Arrow's) where that zone skips a time or has it twice."""
        if column.type.tz is None and wanted.tz is not None:
            return pc.assume_timezone(column, self._timezone).cast(pa.timestamp(column.type.unit, wanted.tz))
        return column


class _Reading:
    """Reads one object's row groups, as many at once as fit a batch, or a part of one."""

    def __init__(self, info: ObjectInfo, file: pa.NativeFile, schema: pa.Schema, batch_bytes: int) -> None:
        self._key = info.key
        self._file = file
        self._batch_bytes = batch_bytes
        self._schema = schema
        self._parquet = _open(info, file, UnitError)
        self._shown = self._parquet.schema_arrow
        self._footer = self._parquet.metadata
        wanted = set(schema.names)
        names = [name for name in self._shown.names if name in wanted]
        self._names = None if len(names) == len(self._shown.names) else names
        self._repeating = repeating_columns(self._footer, self._shown)
        if self._repeating:
            options = {"metadata": self._footer, "read_dictionary": self._repeating, **_options("us")}
            self._parquet = pq.ParquetFile(file, **options)
        self._int96 = [name for name in int96_columns(self._footer, self._shown) if name in wanted]

    def tables(self, piece: Piece) -> Iterator[tuple[pa.Table, int]]:
        """Tables in the file's order, each with how many of the object's rows precede it."""
        groups = range(self._footer.num_row_groups) if piece.row_groups is None else piece.row_groups
        if groups and max(groups) >= self._footer.num_row_groups:
            raise _broken(self._key, f"it has no row group {max(groups)}", UnitError)
        starts = self._starts()
        if 0 < piece.decoded_bytes <= self._batch_bytes:
            # The plan knows that all of it fits, so the footer need not be gone through again.
            yield self._rows(list(groups), starts), starts[groups[0]] if groups else 0
            return
        sizes = decoded_bytes(self._footer, self._shown)
        for part in _packed(groups, sizes, self._batch_bytes):
            if len(part) == 1 and sizes[part[0]] > self._batch_bytes:
                yield from self._streamed(part[0], sizes[part[0]], starts[part[0]])
            else:
                yield self._rows(part, starts), starts[part[0]]

    def _starts(self) -> list[int]:
        starts, rows = [], 0
        for index in range(self._footer.num_row_groups):
            starts.append(rows)
            rows += self._footer.row_group(index).num_rows
        return starts

    def _rows(self, groups: list[int], starts: list[int]) -> pa.Table:
        def read(parquet: pq.ParquetFile, names: list[str] | None) -> pa.Table:
            return parquet.read_row_groups(groups, columns=names, use_threads=False)

        table = read(self._parquet, self._names)
        self._check(table.num_rows, groups)
        if self._int96:
            place = Place(self._key, "", starts[groups[0]] if groups else 0)
            nanoseconds, seconds = (
                read(self._in_unit(unit), self._int96).select(self._int96) for unit in ("ns", "s")
            )
            table = exact_times(table, nanoseconds, seconds, self._schema, place)
        return self._checked(table)

    def _streamed(self, group: int, size: int, start: int) -> Iterator[tuple[pa.Table, int]]:
        """One row group that is larger than a batch, in parts."""
        step = max(self._footer.row_group(group).num_rows * self._batch_bytes // size, 1)
        done = 0
        parts = self._parts(self._parquet, group, step, self._names)
        fine, coarse = (self._parts(self._in_unit(unit), group, step, self._int96) for unit in ("ns", "s"))
        for table in parts:
            if self._int96:
                nanoseconds, seconds = (next(times).select(self._int96) for times in (fine, coarse))
                place = Place(self._key, "", start + done)
                table = exact_times(table, nanoseconds, seconds, self._schema, place)
            yield self._checked(table), start + done
            done += table.num_rows
        self._check(done, [group])

    def _in_unit(self, unit: str) -> pq.ParquetFile:
        return pq.ParquetFile(self._file, **_options(unit))

    @staticmethod
    def _parts(parquet: pq.ParquetFile, group: int, step: int, names: list[str] | None) -> Iterator[pa.Table]:
        for batch in parquet.iter_batches(step, row_groups=[group], columns=names, use_threads=False):
            yield pa.Table.from_batches([batch])

    def _check(self, found: int, groups: Sequence[int]) -> None:
        promised = sum(self._footer.row_group(index).num_rows for index in groups)
        if found != promised:
            what = f"row groups {list(groups)} hold {found} rows, not {promised}"
            raise _broken(self._key, what, UnitError)

    def _checked(self, table: pa.Table) -> pa.Table:
        """Texts must be UTF-8, which pyarrow does not look at: engines that rely on it would crash."""
        for name, column in zip(table.column_names, table.columns, strict=True):
            if _holds_text(column.type) and not is_ascii(column):
                try:
                    column.validate(full=True)
                except pa.ArrowInvalid as error:
                    raise _broken(self._key, f"column {name}: {error}", UnitError) from None
        table = as_text(table, self._repeating)
        return table if self._names is None else table.select(self._names)


def _options(unit: str) -> dict[str, Any]:
    return {
        "pre_buffer": False,
        "page_checksum_verification": True,
        "coerce_int96_timestamp_unit": unit,
        "arrow_extensions_enabled": False,
    }


def _open(info: ObjectInfo, file: pa.NativeFile, kind: type[RaybackfillError]) -> pq.ParquetFile:
    if info.size < _SIZE_MIN:
        what = f"it is {info.size} bytes long, and no Parquet file is shorter than {_SIZE_MIN}"
        raise _broken(info.key, what, kind)
    file.seek(info.size - len(_MAGIC))
    magic = file.read(len(_MAGIC))
    if magic == _MAGIC_ENCRYPTED:
        raise _broken(info.key, "it is encrypted (it ends in PARE), which is not read", kind)
    if magic != _MAGIC:
        what = f"it is {info.size} bytes long and does not end in PAR1, as a Parquet file does"
        raise _broken(info.key, what, kind)
    file.seek(0)
    parquet = pq.ParquetFile(file, **_options("us"))
    names = parquet.schema_arrow.names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise _broken(info.key, f"column {twice} stands in it twice", kind)
    return parquet


def _packed(groups: Sequence[int], sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """The row groups in order, in runs of at most so many decoded bytes, or of one."""
    part: list[int] = []
    held = 0
    for group in groups:
        if part and held + sizes[group] > most:
            yield part
            part, held = [], 0
        part.append(group)
        held += sizes[group]
    if part:
        yield part


def _stored(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _holds_text(kind: pa.DataType) -> bool:
    if kinds.is_dictionary(kind):
        return _holds_text(kind.value_type)
    if kinds.is_nested(kind):
        return any(_holds_text(kind.field(index).type) for index in range(kind.num_fields))
    return widening.is_text(kind)


def _broken(key: str, what: str, kind: type[RaybackfillError]) -> RaybackfillError:
    return kind(what, where=key, next="replace the object, or leave it out with source.path")
