"""Compressed objects are read to their end, or refused by name."""

from __future__ import annotations

import gzip
import os
import random

import pyarrow as pa
import pytest

from raybackfill.errors import SpecError, UnitError
from raybackfill.sources import Source
from raybackfill.sources.compression import HEAD_BYTES, codec_of, read_head
from raybackfill.sources.csv import CsvSource
from raybackfill.sources.jsonl import JsonlSource
from raybackfill.spec.values import CsvSpec
from tests.sources.reading import inspected, rows_of, stored, tables_of

CSV, JSONL = CsvSource(CsvSpec(), "UTC", {}), JsonlSource("UTC", {})
SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.int64())])


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKERS = {"gz": gzip.compress, "zst": zstd}


def test_the_suffix_names_the_codec() -> None:
    assert [codec_of(key) for key in ("a.csv.gz", "A.GZ", "a.zst", "a.gz.csv", "gz")] == [
        "gzip",
        "gzip",
        "zstd",
        None,
        None,
    ]


@pytest.mark.parametrize("suffix", PACKERS)
def test_all_members_are_read(suffix: str) -> None:
    pack = PACKERS[suffix]
    assert rows_of(CSV, pack(b"a,b\n1,2\n3") + pack(b",4\n"), f"b/x.csv.{suffix}") == [
        {"a": 1, "b": 2},
        {"a": 3, "b": 4},
    ]
    lines = pack(b'{"a": 1, "b": 2}\n') + pack(b'{"a": 3, "b": 4}')
    assert rows_of(JSONL, lines, f"b/x.jsonl.{suffix}") == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


@pytest.mark.parametrize("source", [CSV, JSONL], ids=["csv", "jsonl"])
@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize(
    "fault", ["cut", "cut in the second", "garbage after", "flipped", "no bytes", "not packed"]
)
def test_a_broken_stream_is_refused_by_name(source: Source, suffix: str, fault: str) -> None:
    text = b"a,b\n1,2\n" if source is CSV else b'{"a": 1, "b": 2}\n'
    if (suffix, fault) == ("zst", "flipped"):
        pytest.skip("a Zstandard frame need not have a check sum, and Arrow writes none")
    packed = PACKERS[suffix](text * 50)
    data = {
        "cut": packed[:-6],
        "cut in the second": packed + packed[:5],
        "garbage after": packed + b"garbage, garbage",
        "flipped": packed[:-9] + bytes([packed[-9] ^ 0xFF]) + packed[-8:],
        "no bytes": b"",
        "not packed": text,
    }[fault]
    key = f"bucket/day.x.{suffix}"
    with pytest.raises(SpecError, match="bucket/day") as planned:
        inspected(source, data, key)
    with pytest.raises(UnitError, match="bucket/day") as run:
        tables_of(source, data, key, SCHEMA)
    assert planned.value.next and run.value.next


def test_a_large_object_is_seen_in_part_and_estimated() -> None:
    numbers = random.Random(1)
    line = "".join(f"{numbers.random()},{numbers.random()}\n" for _ in range(1_000))
    text = ("a,b\n" + line * 400).encode()
    assert len(text) > 3 * HEAD_BYTES
    for key, data in (("b/x.csv", text), ("b/x.csv.gz", gzip.compress(text, 1))):
        found = inspected(CSV, data, key)
        assert found.rows == -1
        assert found.schema == pa.schema([("a", pa.float64()), ("b", pa.float64())])
        tables = tables_of(CSV, data, key, found.schema)
        assert sum(table.num_rows for table in tables) == 400_000
        decoded = sum(table.nbytes for table in tables)
        assert decoded * 0.8 < found.decoded_bytes < decoded * 4


def test_the_head_of_a_large_stream_needs_one_request_and_no_end() -> None:
    text = os.urandom(2 * HEAD_BYTES)
    store, info = stored(gzip.compress(text), "b/x.gz")
    head = read_head(store, info)
    assert not head.whole
    assert text.startswith(head.data)
    assert len(head.data) > HEAD_BYTES * 0.9
    assert 0.9 < head.ratio < 1.1
