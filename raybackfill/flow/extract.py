"""Hop 2, extract: objects -> the rows this unit owns, with the columns that stand in their paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.aligning import align
from raybackfill.control.planning.times import to_instants
from raybackfill.errors import UnitError
from raybackfill.flow.ahead import read_ahead
from raybackfill.model import Piece
from raybackfill.sources import Source
from raybackfill.storage import ObjectStore

Mask = Callable[[pa.Table], pa.BooleanArray]


@dataclass(frozen=True)
class PathValues:
    """What the path of one object says: a value a column, and for a time the interval it stands
    for, in microseconds since 1970 UTC, half-open."""

    columns: Mapping[str, pa.Scalar]
    time_column: str | None = None
    start: int | None = None
    end: int | None = None

    @property
    def partition(self) -> tuple[object, ...]:
        """What tells one source partition from another."""
        return tuple(value.as_py() for value in self.columns.values())


@dataclass(frozen=True)
class Batch:
    """Rows of one object that passed the filters, and how many were read to get them. `where` is its
    key; of several drawn together, the first's and the last's."""

    table: pa.Table
    rows_read: int
    rows_filtered: int
    partition: tuple[object, ...]
    where: str


class Extract:
    """Reads pieces. `file_schema` are the columns that files hold, `row_schema` those and the
    paths' own. `filters` say which rows are kept, in this order."""

    def __init__(
        self,
        store: ObjectStore,
        source: Source,
        path_values: Callable[[Sequence[str]], Sequence[PathValues]],
        file_schema: pa.Schema,
        row_schema: pa.Schema,
        filters: Sequence[Mask],
        timezone: str,
    ) -> None:
        self._store = store
        self._source = source
        self._path_values = path_values
        self._file_schema = file_schema
        self.row_schema = row_schema
        self._filters = filters
        self._timezone = timezone

    def batches(
        self, pieces: Sequence[Piece], batch_bytes: int, *, whole_partitions: bool = False
    ) -> Iterator[Batch]:
        """Every row of the pieces once, in order, in batches of about `batch_bytes` read or less, or with
        `whole_partitions` one for each source partition. UnitError names the object that is not as it
        should be."""
        for read in _drawn_together(self._read(pieces, batch_bytes), batch_bytes, whole_partitions):
            kept = self._kept(read.table)
            yield replace(read, table=kept, rows_filtered=read.rows_read - kept.num_rows)

    def _read(self, pieces: Sequence[Piece], batch_bytes: int) -> Iterator[Batch]:
        values_of = dict(zip(pieces, self._path_values([piece.key for piece in pieces]), strict=True))

        def read(piece: Piece) -> Iterator[pa.Table]:
            return self._source.read(self._store, piece, self._file_schema, batch_bytes)

        # A memory map is there at once: threads would only take the processor from the job.
        local = self._store.scheme == "file"
        tables = ((p, table) for p in pieces for table in read(p)) if local else read_ahead(pieces, read)
        for piece, raw in tables:
            values = values_of[piece]
            rows = self._with_path(raw, values, piece)
            yield Batch(rows, raw.num_rows, 0, values.partition, piece.key)

    def _kept(self, table: pa.Table) -> pa.Table:
        for mask in self._filters:
            keep = mask(table)
            if keep.false_count:
                table = table.filter(keep)
        return table

    def _with_path(self, table: pa.Table, values: PathValues, piece: Piece) -> pa.Table:
        for name, value in values.columns.items():
            if name in table.column_names:
                self._check_agreement(table[name], name, values, piece)
            elif name in self.row_schema.names:
                kind = self.row_schema.field(name).type
                column = pa.repeat(value if value.type == kind else value.cast(kind), table.num_rows)
                table = table.append_column(name, column)
        try:
            return align(table, self.row_schema)
        except ValueError as error:
            raise UnitError(str(error), where=piece.key) from error

    def _check_agreement(self, column: pa.ChunkedArray, name: str, values: PathValues, piece: Piece) -> None:
        wrong = pc.invert(self._agrees(column, name, values))
        if not pc.any(wrong, min_count=0).as_py():
            return
        row = pc.index(wrong, True).as_py()
        raise UnitError(
            f"the path says {name} = {values.columns[name].as_py()}, "
            f"but row {row + 1} says {column[row].as_py()}",
            where=piece.key,
            next=f"give the piece in source.path another name than {name}, or repair the object",
        )

    def _agrees(self, column: pa.ChunkedArray, name: str, values: PathValues) -> pa.ChunkedArray:
        """Where the file's column says what the path says: within its interval for times, else equal."""
        if name == values.time_column and values.start is not None and pa.types.is_timestamp(column.type):
            times = to_instants(column.combine_chunks(), self._timezone)
            inside = pc.and_(pc.greater_equal(times, values.start), pc.less(times, values.end))
            return pc.fill_null(inside, False)
        value = values.columns[name]
        if not value.is_valid:
            return pc.is_null(column)
        try:
            equal = pc.equal(column, value.cast(column.type))
        except pa.ArrowInvalid:
            equal = pc.equal(column.cast(pa.string()), value.cast(pa.string()))
        return pc.fill_null(equal, False)


def _drawn_together(batches: Iterator[Batch], batch_bytes: int, whole_partitions: bool) -> Iterator[Batch]:
    """Small objects drawn together: a filter and a job cost up to a millisecond a call."""
    waiting: list[Batch] = []
    size_bytes = 0
    for batch in batches:
        following_bytes = batch.table.nbytes
        other = waiting and waiting[0].partition != batch.partition
        if waiting and (other if whole_partitions else size_bytes + following_bytes > batch_bytes):
            yield _together(waiting)
            waiting, size_bytes = [], 0
        waiting.append(batch)
        size_bytes += following_bytes
        # Full enough: what follows is not read before it is needed.
        if 2 * size_bytes > batch_bytes and not whole_partitions:
            yield _together(waiting)
            waiting, size_bytes = [], 0
    if waiting:
        yield _together(waiting)


def _together(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return replace(
        batches[0],
        table=pa.concat_tables([batch.table for batch in batches]),
        rows_read=sum(batch.rows_read for batch in batches),
        where=key_span(batches[0].where, batches[-1].where),
    )


def key_span(first: str, last: str) -> str:
    """Where something is, if it is in one of these objects or between them."""
    return first if first == last else f"{first} .. {last}"
