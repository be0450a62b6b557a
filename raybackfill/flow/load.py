"""Hop 4, load: rows -> staged files that no reader sees, each for one folder of the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.arrow.text_bounds import Bounds, merged
from raybackfill.model import StagedFile
from raybackfill.targets import FileWriter

# Rows of a folder are gathered to this size before they are written: a row group's worth, so that
# small batches do not become small row groups.
BUFFER_BYTES_MAX = 64_000_000
CLOSED_AT_ONCE = 8


@dataclass
class _Folder:
    """What is known of one folder while its rows come in."""

    tables: list[pa.Table] = field(default_factory=list)
    bytes: int = 0
    writer: FileWriter | None = None


class Loader:
    """Takes rows in any order and writes files by folder. `begin` opens the next staged file. Memory: at
    most `buffer_bytes_max` and one row group a folder. `bounds`, after `finish`: of the texts in all files,
    as their footers tell."""

    def __init__(
        self,
        file_schema: pa.Schema,
        begin: Callable[[], FileWriter],
        *,
        sort_by: Sequence[str] = (),
        file_size: int,
        buffer_bytes_max: int = 4 * BUFFER_BYTES_MAX,
    ) -> None:
        self._file_schema = file_schema
        self._begin = begin
        self._sort_by = [(column, "ascending") for column in sort_by]
        self._file_size = file_size
        self._buffer_bytes_max = buffer_bytes_max
        self._open: dict[str, _Folder] = {}
        self._bytes = 0
        self._staged: list[StagedFile] = []
        self._bounds: list[Bounds] = []

    @property
    def bounds(self) -> Bounds:
        return reduce(merged, self._bounds) if self._bounds else {}

    def add(self, table: pa.Table, folders: pa.DictionaryArray) -> None:
        """`folders` names the folder of each row."""
        for name, rows in split_by_folder(table, folders):
            self._buffer(name, rows)
        while self._bytes > self._buffer_bytes_max:
            self._flush(max(self._open, key=lambda name: self._open[name].bytes))

    def finish(self) -> tuple[StagedFile, ...]:
        """Write what is left. The files in the order of their folders, then as they were written."""
        for name in sorted(self._open):
            self._flush(name)
        # Each file ends with a request or a sync that is waited for: many folders wait together.
        with ThreadPoolExecutor(CLOSED_AT_ONCE) as pool:
            list(pool.map(self._close, sorted(self._open)))
        return tuple(sorted(self._staged, key=lambda file: (file.partition, file.key)))

    def abort(self) -> None:
        for folder in self._open.values():
            if folder.writer is not None:
                folder.writer.abort()

    def _buffer(self, name: str, rows: pa.Table) -> None:
        folder = self._open.setdefault(name, _Folder())
        size = rows.nbytes
        folder.tables.append(rows)
        folder.bytes += size
        self._bytes += size
        if folder.bytes >= BUFFER_BYTES_MAX and not self._sort_by:
            self._flush(name)

    def _flush(self, name: str) -> None:
        folder = self._open[name]
        if not folder.tables:
            return
        table = pa.concat_tables(folder.tables)
        self._bytes -= folder.bytes
        folder.tables, folder.bytes = [], 0
        if self._sort_by:
            table = table.sort_by(self._sort_by)
        rows = table.select(self._file_schema.names)
        # Files smaller than what is buffered take it in parts of their decoded size.
        step = max(rows.num_rows * self._file_size // max(rows.nbytes, 1), 1)
        for start in range(0, rows.num_rows, step):
            self._write(name, rows.slice(start, step))
        # A sorted file ends with its rows: the next ones would begin anew.
        if self._sort_by:
            self._close(name)

    def _write(self, name: str, rows: pa.Table) -> None:
        folder = self._open[name]
        if folder.writer is None:
            folder.writer = self._begin()
        folder.writer.write(rows)
        if folder.writer.size() >= self._file_size:
            self._close(name)

    def _close(self, name: str) -> None:
        writer = self._open[name].writer
        self._open[name].writer = None
        if writer is not None:
            info = writer.close()
            self._bounds.append(writer.bounds)
            self._staged.append(StagedFile(info.key, name, writer.rows, info.size, info.tag))


def split_by_folder(table: pa.Table, folders: pa.DictionaryArray) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each folder, in their order. One folder, the common case, costs no copy."""
    if table.num_rows == 0:
        return
    names = folders.dictionary.to_pylist()
    if len(names) == 1:
        yield names[0], table
        return
    codes = folders.indices
    runs = pc.run_end_encode(codes)
    if len(runs.values) > len(pc.unique(runs.values)):
        # Only rows that do not come folder by folder need to be moved.
        order = pc.array_sort_indices(codes)
        table, runs = table.take(order), pc.run_end_encode(codes.take(order))
    start = 0
    for code, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield names[code], table.slice(start, end - start)
        start = end
