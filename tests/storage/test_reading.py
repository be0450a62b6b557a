"""Range reads ask for what is needed, at the tag that was pinned."""

from __future__ import annotations

import io
import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.errors import IntegrityError
from raybackfill.spec.values import StorageSpec
from raybackfill.storage import ObjectInfo
from raybackfill.storage.memory import MemoryStore
from raybackfill.storage.meter import Meter
from raybackfill.storage.reading import RangeFile, open_ranges, open_tail, span
from raybackfill.storage.s3 import S3Store, store


def stored(data: bytes) -> tuple[MemoryStore, ObjectInfo, Meter]:
    meter = Meter()
    memory = MemoryStore(meter)
    info = memory.put("b/object", data)
    assert info is not None
    return memory, info, meter


@pytest.mark.parametrize("offset", range(-12, 13))
@pytest.mark.parametrize("size", [None, 0, 1, 5, 20])
def test_span_is_what_a_slice_takes(offset: int, size: int | None) -> None:
    data = bytes(range(10))
    expected = data[offset:] if size is None else data[offset:][:size]
    first, last = span(10, offset, size)
    assert 0 <= first <= last <= 10 and data[first:last] == expected


def test_a_range_file_is_like_a_file_in_memory() -> None:
    data = os.urandom(1000)
    memory, info, _ = stored(data)
    chance = random.Random(7)
    for tail in (None, memory.read(info.key, offset=-100)):
        ours, theirs = RangeFile(memory, info, block_bytes=64, tail=tail), io.BytesIO(data)
        for _ in range(2000):
            if chance.random() < 0.5:
                place = chance.randrange(1200), io.SEEK_SET
                place = chance.choice([place, (-chance.randrange(1000), io.SEEK_END)])
                assert ours.seek(*place) == theirs.seek(*place)
            size = chance.choice([-1, 0, 1, 10, 63, 64, 65, 300])
            assert ours.read(size) == theirs.read(size)
            assert ours.tell() == theirs.tell()
    with pytest.raises(ValueError, match="before"):
        ours.seek(-1)


def test_small_reads_share_a_block() -> None:
    memory, info, meter = stored(os.urandom(1000))
    file = RangeFile(memory, info, block_bytes=100)
    for _ in range(50):
        file.read(2)
    assert meter.snapshot()["get"] == 1
    file.read(500)
    assert meter.snapshot() == meter.snapshot() | {"get": 2, "bytes_read": 600}


def parquet(rows: int) -> tuple[bytes, pa.Table]:
    table = pa.table({"n": range(rows), "text": [f"text number {number}" for number in range(rows)]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=rows // 10)
    return sink.getvalue().to_pybytes(), table


def test_a_footer_costs_one_request() -> None:
    data, table = parquet(100_000)
    memory, info, meter = stored(data)
    file = pq.ParquetFile(open_tail(memory, info))
    assert file.metadata.num_rows == 100_000
    assert meter.snapshot()["get"] == 1 and meter.snapshot()["bytes_read"] == 64 * 1024
    assert file.read_row_group(3).equals(table.slice(30_000, 10_000))


def test_a_footer_beyond_the_tail_is_fetched_on_demand() -> None:
    data, table = parquet(100_000)
    memory, info, meter = stored(data)
    file = pq.ParquetFile(open_tail(memory, info, tail_bytes=100))
    assert file.metadata.num_row_groups == 10
    assert 2 <= meter.snapshot()["get"] <= 3
    assert file.read().equals(table)


def test_a_small_or_empty_object_is_its_own_tail() -> None:
    for data in (b"", b"short"):
        memory, info, meter = stored(data)
        assert open_tail(memory, info).read() == data
        assert meter.snapshot()["get"] == (1 if data else 0)


def test_a_change_is_noticed_through_parquet() -> None:
    data, _ = parquet(100_000)
    memory, info, _ = stored(data)
    file = pq.ParquetFile(open_tail(memory, info))
    memory.put(info.key, data)
    with pytest.raises(IntegrityError) as caught:
        file.read()
    assert caught.value.exit_code == 4
    with pytest.raises(IntegrityError):
        open_ranges(memory, info).read()


def test_s3_fetches_a_small_object_whole_and_a_large_one_in_ranges(
    s3_storage: StorageSpec, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Meter()
    s3 = S3Store(s3_storage, meter)
    data, table = parquet(100_000)
    info = s3.put(f"{s3_bucket}/table.parquet", data)
    assert info is not None
    assert pq.ParquetFile(s3.open(info, whole=True)).read().equals(table)
    assert meter.snapshot()["get"] == 1
    monkeypatch.setattr(store, "WHOLE_BYTES_MAX", 1000)
    assert isinstance(s3.open(info, whole=True), pa.PythonFile)
    assert pq.ParquetFile(s3.open(info, whole=False)).read_row_group(9).equals(table.slice(90_000, 10_000))
