"""Writes Parquet files: zstd, page checksums, row groups that fit in memory, dictionaries where they pay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raybackfill.control.arrow.text_bounds import Bounds, text_bounds
from raybackfill.storage import ObjectInfo, Upload

STAMP = "raybackfill.attempt"
"""The key of a file's metadata under which it says which attempt wrote it."""

ROW_GROUP_ROWS_MAX = 1_048_576
# Level 1 writes about as fast as snappy and a third smaller; higher levels cost more than they save.
ZSTD_LEVEL = 1
# A dictionary costs more than half of the encoding time of a column whose values do not repeat.
SAMPLE_ROWS = 4096
DISTINCT_SHARE_MAX = 0.5


class ParquetTarget:
    suffix = ".parquet"

    def writer(self, upload: Upload, schema: pa.Schema, *, stamp: str) -> ParquetFileWriter:
        return ParquetFileWriter(upload, schema, stamp)


class ParquetFileWriter:
    """The file begins with the first table, because that shows which columns repeat."""

    def __init__(self, upload: Upload, schema: pa.Schema, stamp: str) -> None:
        self.rows = 0
        self.bounds: Bounds = {}
        self._footers: list[pq.FileMetaData] = []
        self._upload = upload
        # The attempt's ID makes the bytes, and so the tag, of every attempt's file its own.
        self._schema = schema.with_metadata({STAMP: stamp})
        self._sink = _UploadSink(upload)
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = self._begin(table)
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS_MAX)
        self.rows += table.num_rows

    def size(self) -> int:
        return self._sink.position

    def close(self) -> ObjectInfo:
        if self._writer is None:
            self._writer = self._begin(self._schema.empty_table())
        self._writer.close()
        self.bounds = text_bounds(self._footers[0], self._schema)
        made = self._upload.commit()
        assert made is not None, "only a condition is answered with None"
        return made

    def abort(self) -> None:
        self._upload.abort()

    def _begin(self, table: pa.Table) -> pq.ParquetWriter:
        return pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            self._schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=dictionary_columns(table),
            write_page_checksum=True,
            metadata_collector=self._footers,
        )


class _UploadSink:
    """What pyarrow wants of a file, over an upload."""

    closed = False

    def __init__(self, upload: Upload) -> None:
        self.position = 0
        self._upload = upload

    def write(self, data: bytes) -> int:
        self._upload.write(data)
        self.position += len(data)
        return len(data)

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def dictionary_columns(table: pa.Table) -> list[str]:
    """The Parquet paths of the columns whose values repeat, judged by their first rows."""
    head = table.slice(0, SAMPLE_ROWS)
    return [path for field in table.schema for path in _paths_that_repeat(field, head[field.name])]


def _paths_that_repeat(field: pa.Field, values: Any) -> Iterator[str]:
    if pa.types.is_nested(field.type):
        yield from _leaf_paths(field.name, field.type)
        return
    distinct = pc.count_distinct(_countable(values)).as_py()
    if distinct <= len(values) * DISTINCT_SHARE_MAX:
        yield field.name


def _countable(values: Any) -> Any:
    """The same values in a type that count_distinct takes."""
    kind = values.type
    if pa.types.is_float16(kind):
        return values.cast(pa.float32())
    if pa.types.is_decimal256(kind) or pa.types.is_interval(kind):
        return pa.chunked_array([pa.array([str(v) for v in values.to_pylist()], pa.string())])
    return values


def _leaf_paths(path: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_struct(kind):
        for child in kind:
            yield from _leaf_paths(f"{path}.{child.name}", child.type)
    elif pa.types.is_map(kind):
        yield from _leaf_paths(f"{path}.key_value.key", kind.key_type)
        yield from _leaf_paths(f"{path}.key_value.value", kind.item_type)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaf_paths(f"{path}.list.element", kind.value_type)
    else:
        yield path
