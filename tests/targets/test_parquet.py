"""Parquet files as written: the same rows, page checksums, dictionaries where they pay, a stamp of their own."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.storage import ObjectInfo
from raybackfill.storage.memory import MemoryStore
from raybackfill.targets.parquet import ParquetTarget, dictionary_columns


def written(tables: list[pa.Table], schema: pa.Schema, stamp: str = "a1") -> tuple[bytes, ObjectInfo]:
    store = MemoryStore()
    writer = ParquetTarget().writer(store.upload("k", stamp=stamp), schema, stamp=stamp)
    for table in tables:
        writer.write(table)
    info = writer.close()
    assert writer.rows == sum(table.num_rows for table in tables)
    data = store.read("k").to_pybytes()
    assert info.size == len(data)
    return data, info


@given(
    st.lists(
        st.lists(st.tuples(st.none() | st.integers(-5, 5), st.none() | st.text()), max_size=20), max_size=4
    )
)
def test_what_was_written_is_read_back(parts: list[list[tuple[int | None, str | None]]]) -> None:
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
    tables = [
        pa.table({"n": [r[0] for r in rows], "s": [r[1] for r in rows]}, schema=schema) for rows in parts
    ]
    data, _ = written(tables, schema)
    expected = pa.concat_tables([schema.empty_table(), *tables])
    assert pq.read_table(pa.BufferReader(data), page_checksum_verification=True).equals(expected)


def test_the_same_rows_give_the_same_bytes_but_for_the_stamp() -> None:
    table = pa.table({"n": [1, 2, 3]})
    assert written([table], table.schema)[0] == written([table], table.schema)[0]
    assert written([table], table.schema)[0] != written([table], table.schema, "a2")[0]
    metadata = pq.read_schema(pa.BufferReader(written([table], table.schema, "a2")[0])).metadata
    assert metadata[b"raybackfill.attempt"] == b"a2"


def test_pages_are_zstd_and_a_flipped_byte_in_one_is_noticed() -> None:
    table = pa.table({"n": pa.array(range(1000), pa.int64())})
    data, _ = written([table], table.schema)
    column = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"
    middle = column.data_page_offset + column.total_compressed_size // 2
    broken = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    with pytest.raises(OSError, match=r"CRC|checksum"):
        pq.read_table(pa.BufferReader(broken), page_checksum_verification=True)


def test_dictionaries_stand_where_values_repeat() -> None:
    table = pa.table(
        {
            "id": range(5000),
            "kind": ["a", "b"] * 2500,
            "tags": [[{"k": "x", "v": 1}]] * 5000,
            "big": pa.array([None] * 5000, pa.decimal256(50, 2)),
            "half": pa.array([0.5] * 5000, pa.float16()),
            "counts": pa.array([[("k", 1)]] * 5000, pa.map_(pa.string(), pa.int64())),
        }
    )
    assert dictionary_columns(table) == [
        "kind",
        "tags.list.element.k",
        "tags.list.element.v",
        "big",
        "half",
        "counts.key_value.key",
        "counts.key_value.value",
    ]
    data, _ = written([table], table.schema)
    group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    with_dictionary = [
        group.column(i).path_in_schema
        for i in range(group.num_columns)
        if group.column(i).has_dictionary_page
    ]
    assert {"kind", "tags.list.element.k", "counts.key_value.key"} <= set(with_dictionary)
    assert "id" not in with_dictionary


def test_a_file_without_rows_has_its_schema() -> None:
    schema = pa.schema([("d", pa.decimal128(10, 2)), ("t", pa.timestamp("us", "UTC"))])
    data, _ = written([], schema)
    assert pq.read_table(pa.BufferReader(data)).schema.equals(schema)
