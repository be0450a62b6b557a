"""Parquet objects: the values of the file, in bounded tables, or a refusal that names what is broken."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.errors import IntegrityError, SpecError, UnitError
from raybackfill.model import Piece
from raybackfill.sources.footers.times import exact_times
from raybackfill.sources.parquet import ParquetSource
from raybackfill.sources.text_values import Place
from tests.sources.reading import inspected, stored, tables_of

KEY = "bucket/day.parquet"
INT64, TEXT = pa.int64(), pa.string()


def source(timezone: str = "UTC", **overrides: pa.DataType) -> ParquetSource:
    return ParquetSource(overrides, timezone)


def packed(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def read(
    data: bytes, schema: pa.Schema | None = None, reader: ParquetSource | None = None, **how: Any
) -> pa.Table:
    tables = tables_of(reader or source(), data, KEY, schema, **how)
    return pa.concat_tables(tables)


TABLE = pa.table(
    {
        "id": pa.array(range(1_000), INT64),
        "name": [None if number % 7 == 0 else f"name {number}" for number in range(1_000)],
        "tags": [[str(number)] * (number % 3) for number in range(1_000)],
        "point": [{"x": number, "y.z": str(number)} for number in range(1_000)],
        "x.y": pa.array(range(1_000), pa.float64()),
    }
)


def test_a_look_takes_the_footer_only_and_tells_of_each_row_group() -> None:
    data = packed(TABLE, row_group_size=300)
    found = inspected(source(), data, KEY)
    assert found.schema == TABLE.schema
    assert found.rows == 1_000
    assert [rows for rows, _ in found.row_groups] == [300, 300, 300, 100]
    assert sum(size for _, size in found.row_groups) == found.decoded_bytes
    assert TABLE.nbytes * 0.8 < found.decoded_bytes < TABLE.nbytes * 5
    broken_inside = data[:4] + b"\0" * (len(data) // 2) + data[4 + len(data) // 2 :]
    assert inspected(source(), broken_inside, KEY) == found


@pytest.mark.parametrize("batch_bytes", [1, 3_000, 20_000, 10**9])
@pytest.mark.parametrize("groups", [None, (1, 3), (0,), ()])
def test_the_rows_of_a_piece_in_order_and_bounded(groups: tuple[int, ...] | None, batch_bytes: int) -> None:
    store, info = stored(packed(TABLE, row_group_size=300), KEY)
    found = source().inspect(store, info)
    piece = Piece(KEY, info.size, info.tag, groups, -1, found.decoded_bytes)
    tables = list(source().read(store, piece, found.schema, batch_bytes))
    ids = [value for table in tables for value in table["id"].to_pylist()]
    assert ids == [
        number for group in (range(4) if groups is None else groups)
        for number in range(group * 300, min(group * 300 + 300, 1_000))
    ]  # fmt: skip
    assert all(table.nbytes <= 2 * batch_bytes or table.num_rows == 1 for table in tables)


def test_only_the_columns_of_the_schema_are_read_whatever_their_names() -> None:
    for names in (["x.y"], ["point"], ["name", "id"], ["id", "gone"]):
        schema = pa.schema(
            [(name, TABLE.schema.field(name).type if name != "gone" else TEXT) for name in names]
        )
        found = read(packed(TABLE), schema)
        assert set(found.column_names) == set(names) - {"gone"}
        assert found.equals(TABLE.select(found.column_names))


def test_a_piece_may_name_no_row_group_that_is_not_there() -> None:
    store, info = stored(packed(TABLE), KEY)
    with pytest.raises(UnitError, match="no row group 3"):
        list(source().read(store, Piece(KEY, info.size, info.tag, (3,), -1, 1), TABLE.schema, 1_000))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes long"), (b"PAR1", "4 bytes long"), (b"hello, world", "12 bytes long and does not end in PAR1"),
        (packed(TABLE)[:-1], "does not end in PAR1"), (packed(TABLE)[:-4] + b"PARE", "encrypted"),
        (packed(TABLE)[:-8] + b"\xff\xff\xff\x7fPAR1", "cannot be read"),
        (packed(TABLE)[:-300] + b"\0" * 292 + packed(TABLE)[-8:], "cannot be read"),
        (packed(pa.table([[1], [2]], names=["a", "a"])), "column a stands in it twice"),
    ],
    ids=["empty", "magic only", "text", "cut", "encrypted", "footer too long", "footer gone", "column twice"],
)  # fmt: skip
def test_a_broken_file_is_refused_by_name_when_planned_and_when_read(data: bytes, message: str) -> None:
    with pytest.raises(SpecError, match=message) as planned:
        inspected(source(), data, KEY)
    with pytest.raises(UnitError, match=message) as run:
        read(data, TABLE.schema)
    assert planned.value.where == run.value.where == KEY
    assert planned.value.next


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["datapage_v1-snappy-compressed-checksum", "datapage_v1-uncompressed-checksum", "plain-dict-uncompressed-checksum",
     "rle-dict-snappy-checksum"],
)  # fmt: skip
def test_a_page_whose_check_sum_is_wrong_is_refused(name: str, data_root: Path) -> None:
    data = bytearray((data_root / "conformance" / "parquet" / "data" / f"{name}.parquet").read_bytes())
    chunk = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    # The last byte of the dictionary, if there is one (not all data pages have a check sum then).
    end = (
        chunk.data_page_offset
        if chunk.has_dictionary_page
        else chunk.data_page_offset + chunk.total_compressed_size
    )
    data[end - 1] ^= 0x10
    with pytest.raises(UnitError, match="CRC checksum") as caught:
        read(bytes(data))
    assert caught.value.where == KEY


def test_texts_that_are_not_utf8_are_refused() -> None:
    bad = pa.array([b"ok", b"\xff\xfe"]).view(TEXT)
    for table in (pa.table({"t": bad}), pa.table({"t": pa.StructArray.from_arrays([bad], ["x"])})):
        with pytest.raises(UnitError, match=r"column t: .*UTF8"):
            read(packed(table))


def test_an_object_that_changed_is_noticed() -> None:
    store, info = stored(packed(TABLE), KEY)
    store.put(KEY, packed(TABLE.slice(1)))
    with pytest.raises(IntegrityError):
        source().inspect(store, info)
    with pytest.raises(IntegrityError):
        list(source().read(store, Piece(KEY, info.size, info.tag, None, -1, 0), TABLE.schema, 1_000))


def test_columns_are_read_as_the_types_that_the_user_gave() -> None:
    table = pa.table({
        "text": ["1.10", None], "day": ["2021-07-01", "2021-07-02"], "wide": pa.array([1, 2], INT64),
        "exact": pa.array([0.25, None]), "naive": pa.array([datetime(2021, 7, 1, 2), None], pa.timestamp("us")),
        "raw": pa.array([b"a", b"b"]), "kept": [1, 2],
    })  # fmt: skip
    told = {
        "text": pa.decimal128(9, 2), "day": pa.date32(), "wide": pa.int16(), "exact": pa.decimal128(9, 2),
        "naive": pa.timestamp("us", "UTC"), "raw": TEXT,
    }  # fmt: skip
    reader = source("Europe/Berlin", **told)
    assert inspected(reader, packed(table), KEY).schema == pa.schema([*told.items(), ("kept", INT64)])
    found = read(packed(table), reader=reader)
    assert {name: found.schema.field(name).type for name in told} == told
    assert found.to_pylist()[0] == {
        "text": Decimal("1.10"), "day": date(2021, 7, 1), "wide": 1, "exact": Decimal("0.25"),
        "naive": datetime(2021, 7, 1, tzinfo=UTC), "raw": "a", "kept": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (["1", "08"], INT64, r"'08' in column x \(row 302\)"),
        (pa.array([1, 70_000], INT64), pa.int16(), "column x: 70000"),
        (pa.array([0.5, 0.1]), pa.float32(), "column x: 0.1"),
        (pa.array([True, False]), INT64, "bool does not fit int64"),
        (
            pa.array([datetime(2021, 3, 28, 2, 30)] * 2),
            pa.timestamp("us", "UTC"),
            "column x: .*zone|column x: .*exist",
        ),
    ],
    ids=str,
)
def test_a_value_that_is_not_of_the_given_type_is_named(values: Any, kind: pa.DataType, message: str) -> None:
    good = [values[0]] * 300 if isinstance(values, list) else [values[0].as_py()] * 300
    column = pa.array([*good, *(values if isinstance(values, list) else values.to_pylist())])
    with pytest.raises(UnitError, match=message) as caught:
        read(
            packed(pa.table({"x": column}), row_group_size=300),
            reader=source("Europe/Berlin", x=kind),
            batch_bytes=1_500,
        )
    assert (caught.value.where, "source.schema" in caught.value.next) == (KEY, True)


def test_extension_types_are_read_as_what_they_are_stored_in() -> None:
    table = pa.table(
        {"u": pa.array([b"a" * 16, None], pa.uuid()), "j": pa.array(['{"a": 1}', None], pa.json_())}
    )
    data = packed(table)
    assert inspected(source(), data, KEY).schema == pa.schema([("u", pa.binary(16)), ("j", TEXT)])
    assert read(data).to_pylist() == [{"u": b"a" * 16, "j": '{"a": 1}'}, {"u": None, "j": None}]


def old_times(values: list[int | None], **options: Any) -> bytes:
    table = pa.table({"n": range(len(values)), "t": pa.array(values, pa.timestamp("ns"))})
    return packed(table, use_deprecated_int96_timestamps=True, **options)


@given(st.lists(st.none() | st.integers(-(2**53), 2**53), min_size=1))
def test_old_times_of_whole_microseconds_are_exact(values: list[int | None]) -> None:
    data = old_times([None if value is None else value * 1_000 for value in values])
    found = read(data)
    assert found["t"].type == pa.timestamp("us")
    assert found["t"].cast(INT64).to_pylist() == values


@pytest.mark.parametrize("batch_bytes", [500, 10**8])
def test_an_old_time_that_microseconds_would_round_is_refused_by_row(batch_bytes: int) -> None:
    values = [1_000 * number for number in range(700)] + [5]
    data = old_times(values, row_group_size=400)
    with pytest.raises(
        UnitError,
        match=r"column t \(row 701\) is finer than a microsecond; add source.schema: {t: timestamp\(ns\)}",
    ):
        read(data, batch_bytes=batch_bytes)
    found = read(data, reader=source(t=pa.timestamp("ns")), batch_bytes=batch_bytes)
    assert found["t"].cast(INT64).to_pylist() == values
    assert found["n"].to_pylist() == list(range(701))


def test_old_times_within_lists_are_exact_too() -> None:
    table = pa.table({"t": pa.array([[1_000, None], None, [2_001]], pa.list_(pa.timestamp("ns")))})
    with pytest.raises(UnitError, match="finer than a microsecond"):
        read(packed(table, use_deprecated_int96_timestamps=True))
    found = read(packed(table.slice(0, 2), use_deprecated_int96_timestamps=True))
    assert found["t"].to_pylist() == [[datetime(1970, 1, 1, 0, 0, 0, 1), None], None]


def test_an_old_time_beyond_the_years_of_its_unit_is_refused() -> None:
    """pyarrow writes no such file, but Spark does: INT96 is a day and the nanoseconds within it."""
    far = old_times([0])
    day = (2_440_588).to_bytes(4, "little")
    assert far.count(bytes(8) + day) >= 1
    for years, message in ((1_000, None), (1_000_000, "beyond the years that microseconds reach")):
        data = far.replace(bytes(8) + day, bytes(8) + (2_440_588 + 365 * years).to_bytes(4, "little"))
        if message:
            with pytest.raises(UnitError, match=message):
                read(data)
            continue
        assert read(data)["t"].cast(INT64).to_pylist() == [365 * years * 86_400 * 1_000_000]
        with pytest.raises(UnitError, match="nanoseconds reach"):
            read(data, reader=source(t=pa.timestamp("ns")))


def test_what_was_cut_off_is_found_in_wrapping_arithmetic() -> None:
    micros = np.array([2**62 // 1_000 * 5, -(2**62) // 1_000 * 5], dtype=np.int64)
    wrapped = micros * np.int64(1_000)
    seconds = micros // 1_000_000
    own = pa.table({"t": pa.array(micros).cast(pa.timestamp("us"))})
    coarse = pa.table({"t": pa.array(seconds).cast(pa.timestamp("s"))})
    for rest in (0, 1, 999):
        fine = pa.table({"t": pa.array(wrapped + np.array([0, rest])).cast(pa.timestamp("ns"))})
        if rest:
            with pytest.raises(UnitError, match=r"row 12\) is finer"):
                exact_times(own, fine, coarse, own.schema, Place(KEY, "", 10))
        else:
            assert exact_times(own, fine, coarse, own.schema, Place(KEY, "", 10)) is own


def test_dictionaries_large_types_and_views_come_as_they_are_stored() -> None:
    table = pa.table({
        "d": pa.array(["a", None, "a"]).dictionary_encode(), "l": pa.array(["a", None, "b"], pa.large_string()),
        "v": pa.array(["a", None, "b" * 40], pa.string_view()),
    })  # fmt: skip
    found = read(packed(table))
    assert found.schema == inspected(source(), packed(table), KEY).schema
    assert found.to_pylist() == table.to_pylist()


def test_a_file_without_rows_gives_no_tables() -> None:
    data = packed(TABLE.slice(0, 0))
    assert inspected(source(), data, KEY).rows == 0
    assert tables_of(source(), data, KEY) == []
