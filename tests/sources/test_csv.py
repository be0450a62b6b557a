"""CSV objects: every row once, with the texts that stand there, or a refusal that names the place."""

from __future__ import annotations

import csv
import io
import itertools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.errors import SpecError, UnitError
from raybackfill.sources.csv import CsvSource
from raybackfill.sources.quoting import QuoteWatch, first_malformed
from raybackfill.spec.values import CsvSpec
from tests.sources.reading import inspected, rows_of, tables_of

KEY = "bucket/day.csv"
TEXTS = pa.schema([("a", pa.string()), ("b", pa.string())])


def source(overrides: dict[str, pa.DataType] | None = None, **options: Any) -> CsvSource:
    return CsvSource(CsvSpec(**options), "Europe/Berlin", overrides or {})


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\n1,2\n3,4\n", [["1", "2"], ["3", "4"]]),
        (b"a,b\n1,2\n3,4", [["1", "2"], ["3", "4"]]),
        (b"a,b\r\n1,2\r\n3,4\r\n", [["1", "2"], ["3", "4"]]),
        (b"a,b\r\n1,2\n3,4\r\n", [["1", "2"], ["3", "4"]]),
        (b"a,b\r1,2\r3,4", [["1", "2"], ["3", "4"]]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [["1", "2"]]),
        (b'"a",b\n"x\ny","1,2"\n', [["x\ny", "1,2"]]),
        (b'a,b\n"say ""hi""",""""\n', [['say "hi"', '"']]),
        (b'a,b\n9" nail,x"y\n1,2\n', [['9" nail', 'x"y'], ["1", "2"]]),
        (b'a,b\n,""\n', [[None, ""]]),
        (b"a,b\n\n1,2\n\n\n3,4\n\n", [["1", "2"], ["3", "4"]]),
        (b"a,b\n 1 ,\t2\n", [[" 1 ", "\t2"]]),
        (b"a,b\n1,x\x00y\n", [["1", "x\0y"]]),
        (b"a,b\n", []),
        (b"a,b", []),
    ],
    ids=repr,
)
def test_rows_are_read_as_the_text_they_are(data: bytes, rows: list[list[str | None]]) -> None:
    assert [list(row.values()) for row in rows_of(source(), data, KEY, TEXTS)] == rows
    assert inspected(source(), data, KEY).rows == len(rows)


def test_an_empty_line_is_a_row_where_there_is_one_column() -> None:
    data = b"a\n1\n\n2\n"
    assert rows_of(source(), data, KEY) == [{"a": 1}, {"a": None}, {"a": 2}]
    assert rows_of(source(null="NULL"), data, KEY, TEXTS) == [{"a": "1"}, {"a": ""}, {"a": "2"}]


def test_the_null_text_is_null_in_every_type_unless_it_is_quoted() -> None:
    data = b'a,b\nNULL,NULL\n"NULL",5\n,6\n'
    rows = rows_of(source(null="NULL"), data, KEY)
    assert rows == [{"a": None, "b": None}, {"a": "NULL", "b": 5}, {"a": "", "b": 6}]


def test_other_delimiters_encodings_and_no_header() -> None:
    assert rows_of(source(delimiter=";", encoding="latin-1"), "a;b\n1;é\n".encode("latin-1"), KEY) == [
        {"a": 1, "b": "é"}
    ]
    assert rows_of(source(delimiter="\t", encoding="utf-16"), "a\tb\n1\té".encode("utf-16"), KEY) == [
        {"a": 1, "b": "é"}
    ]
    assert rows_of(source(header=False), b"1,x\n2,y\n", KEY) == [{"f0": 1, "f1": "x"}, {"f0": 2, "f1": "y"}]
    assert rows_of(source(header=False), b"", KEY) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"), (b"\n\n", "empty"),
        (b"a,a\n1,2\n", "column a twice"), (b"a,\n1,2\n", "column 2 has no name"),
        (b"a,b\n1,2\n3\n4,5\n", r"record 3 has 1 fields, not 2: '3'"),
        (b"a,b\n1,2,3\n", r"record 2 has 3 fields, not 2: '1,2,3'"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "record 3 has malformed quotes"),
        (b'a,b\n1,2\n3,"4\n5,6\n7,"8\n9,0\n', "record 3 has malformed quotes"),
        (b'a,b\n1,"2"3\n', "record 2 has malformed quotes"),
        (b'a,b\n1,"2" \n', "record 2 has malformed quotes"),
        (b"a,b\n1,\xff\n", "UTF8"), (b"a,\xff\n1,2\n", "cannot be read|not read as"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_broken_object_is_refused_by_name_when_planned_and_when_read(data: bytes, message: str) -> None:
    with pytest.raises(SpecError, match=message) as planned:
        inspected(source(), data, KEY)
    with pytest.raises(UnitError, match=message) as run:
        rows_of(source(), data, KEY, TEXTS)
    assert planned.value.where == run.value.where == KEY


@pytest.mark.parametrize(
    "options", [{"delimiter": ";;"}, {"delimiter": '"'}, {"delimiter": "§"}, {"encoding": "utf-77"}]
)
def test_options_that_cannot_be_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(SpecError, match=r"source\.csv"):
        source(**options)


def test_values_are_typed_by_the_schema_and_the_first_misfit_is_named() -> None:
    told = {"a": pa.decimal128(9, 2), "b": pa.timestamp("us", "UTC"), "gone": pa.int64()}
    found = inspected(source(told), b"a,b,c\n1.10,2021-07-01,x\n", KEY)
    assert found.schema == pa.schema([("a", told["a"]), ("b", told["b"]), ("c", pa.string())])
    row = rows_of(source(told), b"a,b,c\n1.10,2021-07-01 02:00,x\n", KEY)[0]
    assert (str(row["a"]), row["b"].isoformat(), row["c"]) == ("1.10", "2021-07-01T00:00:00+00:00", "x")
    with pytest.raises(
        UnitError, match=r"'08' in column a \(row 3\) is not int64 without loss; add source.schema"
    ):
        rows_of(source(), b"a,b\n1,x\n2,y\n08,z\n", KEY, pa.schema([("a", pa.int64()), ("b", pa.string())]))


def test_columns_that_the_object_lacks_or_nobody_wants_are_left_out() -> None:
    schema = pa.schema([("b", pa.int64()), ("gone", pa.string())])
    assert rows_of(source(), b"a,b\nx,1\n", KEY, schema) == [{"b": 1}]
    assert [
        table.num_rows for table in tables_of(source(), b"a,b\nx,1\n", KEY, pa.schema([("c", pa.string())]))
    ] == [1]


def test_tables_are_bounded_and_rows_are_counted_over_all_of_them() -> None:
    lines = [f"{number},{'x' * 100}" for number in range(40_000)]
    data = "\n".join(["a,b", *lines]).encode()
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    tables = tables_of(source(), data, KEY, schema, batch_bytes=300_000)
    assert max(table.nbytes for table in tables) < 600_000
    assert [n for table in tables for n in table["a"].to_pylist()] == list(range(40_000))
    with pytest.raises(UnitError, match=r"'bad' in column a \(row 40001\)"):
        tables_of(source(), data + b"\nbad,x\n", KEY, schema, batch_bytes=300_000)


def test_a_record_longer_than_a_block_is_read_with_no_row_twice() -> None:
    long = "y" * 3_000_000
    lines = [f"{number},x" for number in range(200_000)]
    data = "\n".join(["a,b", *lines, f'-1,"{long}\n"', "-2,z"]).encode()
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    tables = tables_of(source(), data, KEY, schema, batch_bytes=1_000_000)
    assert [n for table in tables for n in table["a"].to_pylist()] == [*range(200_000), -1, -2]
    assert tables[-2]["b"][-1].as_py() == long + "\n" or tables[-1]["b"][-2].as_py() == long + "\n"


def test_a_first_record_with_a_long_field_is_read() -> None:
    long = "z" * 300_000
    assert rows_of(source(header=False), f"{long},1\n".encode(), KEY) == [{"f0": long, "f1": 1}]


FIELD = st.text(alphabet='ab ,;"\n\r0é', max_size=8)


@given(st.lists(st.lists(FIELD, min_size=2, max_size=2), max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_a_writer_quotes_comes_back(rows: list[list[str]], end: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=end).writerows([["a", "b"], *rows])
    found = rows_of(source(), text.getvalue().encode(), KEY, TEXTS)
    assert [list(row.values()) for row in found] == rows


@given(st.text(alphabet='a,"\n', max_size=14), st.lists(st.integers(1, 14), max_size=4))
def test_the_watch_over_quotes_misses_nothing(text: str, cuts: list[int]) -> None:
    watch = QuoteWatch(",")
    data = text.encode()
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(bounds):
        watch.see(data[start:end])
    watch.end()
    if first_malformed(io.StringIO(text, newline=""), ","):
        assert watch.suspicious
    whole = QuoteWatch(",")
    whole.see(data)
    whole.end()
    assert watch.suspicious == whole.suspicious


@given(st.text(alphabet='a,"\n', min_size=1, max_size=20))
def test_what_is_read_is_what_a_strict_reader_reads(text: str) -> None:
    """pyarrow alone would read on over stray quotes; with them watched, both agree or it is refused."""
    data = ("a,b\n" + text).encode()
    try:
        found = [list(row.values()) for row in rows_of(source(null="\0"), data, KEY, TEXTS)]
    except UnitError:
        return
    strict = [row for row in csv.reader(io.StringIO(data.decode(), newline=""), strict=True) if row]
    assert found == strict[1:]
