"""A file with another stamp has the same pages, and readers take it as before."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.targets.footers import KEY, TAIL_BYTES, FooterError, footer_bytes, restamped


def written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def stamped(data: bytes, stamp: str) -> bytes:
    size = footer_bytes(data[-TAIL_BYTES:])
    body, footer = data[: -TAIL_BYTES - size], data[-TAIL_BYTES - size : -TAIL_BYTES]
    return body + restamped(footer, stamp)


TABLE = pa.table(
    {
        "id": range(1000),
        "text": [f"text {n % 7}" for n in range(1000)],
        "list": [[n, None] for n in range(1000)],
        "pair": [{"a": n, "b": float(n)} for n in range(1000)],
        "flag": [n % 3 == 0 for n in range(1000)],
    }
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"store_schema": False},
        {"row_group_size": 100, "write_page_index": True, "compression": "zstd", "write_page_checksum": True},
        {"sorting_columns": [pq.SortingColumn(0)], "version": "1.0", "use_dictionary": False},
    ],
    ids=str,
)
def test_rows_and_pages_stay_and_the_stamp_is_read(options: dict[str, Any]) -> None:
    data = written(TABLE, **options)
    changed = stamped(data, "run.3.7")
    assert pq.read_table(io.BytesIO(changed)).equals(pq.read_table(io.BytesIO(data)))
    before, after = pq.read_metadata(io.BytesIO(data)), pq.read_metadata(io.BytesIO(changed))
    assert after.metadata[KEY.encode()] == b"run.3.7"
    assert {name: text for name, text in after.metadata.items() if name != KEY.encode()} == (
        before.metadata or {}
    )
    size = footer_bytes(data[-TAIL_BYTES:])
    assert changed.startswith(data[: -TAIL_BYTES - size]), "all that comes before the footer is as it was"
    assert before.to_dict()["row_groups"] == after.to_dict()["row_groups"]


@pytest.mark.parametrize("count", [0, 1, 13, 14, 15, 200])
def test_however_many_keys_there_are_before(count: int) -> None:
    metadata = {f"key {n}": f"value {n}" for n in range(count)}
    data = written(TABLE.replace_schema_metadata(metadata))
    changed = stamped(stamped(data, "first" * 50), "second")
    found = pq.read_metadata(io.BytesIO(changed)).metadata
    assert {f"key {n}".encode() for n in range(count)} < set(found)
    assert len(changed) > len(data)
    assert pq.read_table(io.BytesIO(changed)).equals(pq.read_table(io.BytesIO(data)))


def test_other_readers_take_it(tmp_path: Any) -> None:
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    for name, options in {"arrow": {}, "plain": {"store_schema": False}}.items():
        file = tmp_path / f"{name}.parquet"
        file.write_bytes(stamped(written(TABLE, **options), "run.3.7"))
        assert duckdb.sql(f"select count(*), sum(id) from '{file}'").fetchall() == [(1000, 499500)]
        assert polars.read_parquet(file)["id"].sum() == 499500


def test_what_is_no_parquet_is_refused() -> None:
    with pytest.raises(FooterError):
        footer_bytes(b"\0\0\0\0PARE")
    with pytest.raises(FooterError):
        footer_bytes(b"1")
    data = written(TABLE)
    size = footer_bytes(data[-TAIL_BYTES:])
    for footer in (b"", data[-TAIL_BYTES - size : -TAIL_BYTES][: size // 2], b"\xff" * 20):
        with pytest.raises(FooterError):
            restamped(footer, "stamp")
