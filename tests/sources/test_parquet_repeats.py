"""Text columns of few values are read by their dictionary, and come out as the texts that were written."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.errors import UnitError
from raybackfill.model import Piece
from raybackfill.sources.footers.repeats import ROWS_MIN, repeating_columns
from raybackfill.sources.parquet import ParquetSource
from raybackfill.storage.memory import MemoryStore

ROWS = 2 * ROWS_MIN
KINDS = ["view", "", None, "käse", "a longer text than the others"]
TABLE = pa.table(
    {
        "parts": pa.array([{"a": 1, "b": "x"}] * ROWS),
        "kind": pa.array([KINDS[row % 5] for row in range(ROWS)]),
        "number": pa.array(range(ROWS)),
        "own": pa.array([f"text {row}" for row in range(ROWS)]),
        "none": pa.array([None] * ROWS, pa.string()),
        "bytes": pa.array([b"\xff"] * ROWS),
    }
)


def read(table: pa.Table, schema: pa.Schema, batch_bytes: int = 10**9, **options: object) -> pa.Table:
    store = MemoryStore()
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    info = store.put("/src/f.parquet", sink.getvalue().to_pybytes())
    assert info is not None
    piece = Piece(info.key, info.size, info.tag, None, -1, -1)
    return pa.concat_tables(ParquetSource({}).read(store, piece, schema, batch_bytes))


@pytest.mark.parametrize("row_group_size", [ROWS, ROWS // 3])
@pytest.mark.parametrize("batch_bytes", [10**9, 100_000])
@pytest.mark.parametrize("columns", [TABLE.column_names, ["number", "kind"], ["number"]])
def test_what_was_written_is_read(row_group_size: int, batch_bytes: int, columns: list[str]) -> None:
    wanted = TABLE.select([name for name in TABLE.column_names if name in columns])
    found = read(TABLE, wanted.schema, batch_bytes, row_group_size=row_group_size)
    assert found.schema.equals(wanted.schema)
    assert found.equals(wanted)


def footer(table: pa.Table, **options: object) -> pq.FileMetaData:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return pq.read_metadata(pa.BufferReader(sink.getvalue()))


def test_columns_are_chosen_by_what_the_footer_says() -> None:
    assert repeating_columns(footer(TABLE), TABLE.schema) == ["kind", "none"]
    assert repeating_columns(footer(TABLE, use_dictionary=False), TABLE.schema) == []
    few = TABLE.slice(0, ROWS_MIN - 1)
    assert repeating_columns(footer(few), few.schema) == []


def test_a_text_that_is_no_utf8_is_refused_in_a_dictionary_too() -> None:
    broken = pa.array([b"good", b"\xff\xfe"] * (ROWS // 2), pa.binary())
    table = pa.table({"kind": pa.Array.from_buffers(pa.string(), ROWS, broken.buffers())})
    assert repeating_columns(footer(table), table.schema) == ["kind"]
    with pytest.raises(UnitError, match=r"f\.parquet.*kind"):
        read(table, table.schema)
