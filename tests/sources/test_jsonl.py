"""JSON lines: exact values, no key lost, and a refusal that names the line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.errors import SpecError, UnitError
from raybackfill.sources.jsonl import JsonlSource
from tests.sources.reading import inspected, rows_of, tables_of

KEY = "bucket/day.jsonl"
INT64, FLOAT64, TEXT = pa.int64(), pa.float64(), pa.string()


def source(**overrides: pa.DataType) -> JsonlSource:
    return JsonlSource("Europe/Berlin", overrides)


def of(**fields: pa.DataType) -> pa.Schema:
    return pa.schema(list(fields.items()))


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def values(data: bytes, schema: pa.Schema | None = None, **overrides: pa.DataType) -> list[Any]:
    return [row.get("a") for row in rows_of(source(**overrides), data, KEY, schema)]


@pytest.mark.parametrize(
    ("data", "kind", "found"),
    [
        (b'{"a":1}\n{"a":null}\n{}\n{"a":-0}\n', INT64, [1, None, None, 0]),
        (b'{"a":1}\n{"a":2.5}', FLOAT64, [1.0, 2.5]),
        (b'{"a":1e2}\n', FLOAT64, [100.0]),
        (b'{"a":9007199254740992}\n{"a":0.5}', FLOAT64, [2.0**53, 0.5]),
        (b'{"a":9223372036854775807}\n', INT64, [2**63 - 1]),
        (b'{"a":true}\n{"a":false}\n', pa.bool_(), [True, False]),
        (b'{"a":"2015-09-12T00:46:58.771Z"}\n', TEXT, ["2015-09-12T00:46:58.771Z"]),
        (b'{"a":"5"}\n', TEXT, ["5"]),
        (b'{"a":null}\n{}', pa.null(), [None, None]),
        (b'{"a":[]}\n{"a":[null]}\n', pa.list_(pa.null()), [[], [None]]),
        (b'{"a":[1]}\n{"a":[2.5]}\n', pa.list_(FLOAT64), [[1.0], [2.5]]),
        (b'{"a":{"y":1}}\n{"a":{"x":"s"}}\n', pa.struct([("y", INT64), ("x", TEXT)]), [{"y": 1, "x": None}, {"y": None, "x": "s"}]),
        (b'\xef\xbb\xbf\r\n{"a":1}\r\n  \n{"a":2}\r\n\n', INT64, [1, 2]),
        (rb'{"a":"\ud83d\ude00 \u0000"}', TEXT, ["😀 \0"]),
    ],
    ids=repr,
)  # fmt: skip
def test_what_lines_show_and_hold(data: bytes, kind: pa.DataType, found: list[Any]) -> None:
    shown = inspected(source(), data, KEY)
    assert shown.schema == of(a=kind)
    assert shown.rows == len(found)
    assert values(data) == found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a":1,"a":2}', "key 'a' twice"), (b'{"a":1,"b":{"x":1,"x":1}}', "key 'x' twice"),
        (b'{"a":NaN}', "NaN"), (b'{"a":-Infinity}', "Infinity"), (b"[1]", "an array"), (b"5", "a number"), (b"null", "null"),
        (b'{"a":1', "no JSON"), (b'{"a":1}{"a":2}', "no JSON"), (b'{"a":1},', "no JSON"), (b'{"a":01}', "no JSON"),
        (b"{'a':1}", "no JSON"), (b'{"a":1} // x', "no JSON"), (b'{"a":"\xff"}', "UTF-8"), (b'{"a":"x\x01"}', "no JSON"),
        (rb'{"a":"\ud800"}', "surrogate"), (b"[" * 100_000, "nested too deeply|no JSON"), (b"\x00", "no JSON"),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_a_bad_line_is_refused_by_its_number(line: bytes, message: str) -> None:
    data = b'{"a":1}\n\n' + line + b'\n{"a":2}\n'
    with pytest.raises(SpecError, match=f"line 3: .*({message})") as planned:
        inspected(source(), data, KEY)
    with pytest.raises(UnitError, match=f"line 3: .*({message})") as run:
        values(data, of(a=INT64, b=pa.struct([("x", INT64)])))
    assert planned.value.where == run.value.where == KEY


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lines({"a": 1}, {"a": "x"}), "column a is a number in line 1 and a text in line 2"),
        (lines({"a": 1}, {"a": True}), "a number in line 1 and a bool in line 2"),
        (
            lines({"a": {"x": [1]}}, {"a": {"x": ["s"]}}),
            r"column a\.x\[\] is a number in line 1 and a text in line 2",
        ),
        (b'{"a":9223372036854775808}\n', "9223372036854775808 in line 1, which is no int64"),
        (b'{"a":' + b"9" * 5_000 + b"}\n", "in line 1, which is no int64"),
        (b'{"a":9007199254740993}\n{"a":0.5}\n', "that a double would round"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_column_that_shows_two_things_is_refused_at_plan_time(data: bytes, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        inspected(source(), data, KEY)
    assert "source.schema: {a:" in caught.value.next
    assert (
        len(values(data, a=pa.large_string() if b"[" not in data else pa.struct([("x", pa.list_(TEXT))]))) > 0
    )


def test_numbers_of_a_text_column_keep_their_exact_text() -> None:
    data = b'{"a":1.10}\n{"a":"x"}\n{"a":12345678901234567890123}\n{"a":1E5}\n{"a":true}\n{"a":null}\n'
    assert values(data, a=TEXT) == ["1.10", "x", "12345678901234567890123", "1E5", "true", None]


def test_the_schema_says_what_numbers_and_texts_are() -> None:
    assert values(b'{"a":1.10}\n{"a":"1.2"}\n', a=pa.decimal128(10, 2)) == [Decimal("1.10"), Decimal("1.20")]
    assert values(b'{"a":18446744073709551615}\n', a=pa.uint64()) == [2**64 - 1]
    assert values(b'{"a":12345678901234567890123}\n', a=pa.decimal128(38, 0)) == [12345678901234567890123]
    assert values(b'{"a":"42"}\n', a=INT64) == [42]
    noon = datetime(2021, 7, 1, tzinfo=UTC)
    data = b'{"a":"2021-07-01T00:00:00Z"}\n{"a":"2021-07-01 02:00"}\n'
    assert values(data, a=pa.timestamp("us", "UTC")) == [noon, noon]
    assert values(b'{"a":["2021-07-01"]}\n', a=pa.list_(pa.timestamp("us"))) == [[datetime(2021, 7, 1)]]
    assert values(b'{"a":{"k":1,"l":null}}\n', a=pa.map_(TEXT, INT64)) == [[("k", 1), ("l", None)]]
    assert values(b'{"a":"x"}\n{"a":"x"}\n', a=pa.dictionary(pa.int32(), TEXT)) == ["x", "x"]


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (b"1.0", INT64, r"1\.0 in column a \(line 3\) is not int64"),
        (b"1e2", INT64, r"1e2 in column a \(line 3\)"),
        (b'"x"', INT64, r"the text 'x' in column a \(line 3\)"),
        (b'"5"', INT64, r"the text '5' in column a \(line 3\)"),
        (b"300", pa.int8(), r"300 in column a \(line 3\) is not int8"),
        (b"9223372036854775808", INT64, r"9223372036854775808 in column a \(line 3\)"),
        (b"9007199254740993", FLOAT64, r"9007199254740993 in column a \(line 3\).*would round"),
        (b"1e999", FLOAT64, r"1e999 in column a \(line 3\)"),
        (b"1.105", pa.decimal128(9, 2), r"1\.105 in column a \(line 3\)"),
        (b"1", pa.bool_(), r"1 in column a \(line 3\) is not bool"),
        (b"true", INT64, r"true in column a \(line 3\)"),
        (b"{}", TEXT, r"an object in column a \(line 3\)"),
        (b"[]", INT64, r"a list in column a \(line 3\)"),
        (b"5", pa.null(), r"5 in column a \(line 3\)"),
        (b'"2021-02-30"', pa.date32(), r"2021-02-30' in column a \(line 3\)"),
        (b"[1,true]", pa.list_(INT64), r"true in column a\[\] \(line 3\)"),
        (b'{"x":"s"}', pa.struct([("x", INT64)]), r"the text 's' in column a\.x \(line 3\)"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_value_that_is_not_of_the_type_is_named(value: bytes, kind: pa.DataType, message: str) -> None:
    with pytest.raises(UnitError, match=message) as caught:
        values(b'{"a":null}\n\n{"a":' + value + b'}\n{"a":null}', of(a=kind))
    assert (caught.value.where, "source.schema" in caught.value.next) == (KEY, True)


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"a": {"x": 1}, "new": 1}, "new"),
        ({"a": {"x": 1, "new": 2}}, "a.new"),
        ({"a": {"x": 1}, "new": None}, "new"),
    ],
)
def test_a_key_that_the_plan_did_not_see_does_not_vanish(row: dict[str, Any], path: str) -> None:
    schema = of(a=pa.struct([("x", INT64)]))
    data = lines({"a": {"x": 1}}, row)
    with pytest.raises(UnitError, match=f"line 2 has the key {path}, .*add it to source.schema"):
        values(data, schema)
    with pytest.raises(UnitError, match=f"line 3 has the key {path}"):
        values(lines({"a": {"x": 1}}) + b"\n" + lines(row), schema)


def test_objects_of_nothing_are_rows() -> None:
    assert sum(table.num_rows for table in tables_of(source(), b"{}\n{}\n", KEY)) == 2
    assert tables_of(source(), b"", KEY) == []
    assert inspected(source(), b"", KEY).rows == 0


def test_tables_are_bounded_and_lines_are_counted_over_all_of_them() -> None:
    data = lines(*({"a": number, "b": "x" * 100} for number in range(30_000)))
    schema = of(a=INT64, b=TEXT)
    tables = tables_of(source(), data, KEY, schema, batch_bytes=300_000)
    assert max(table.nbytes for table in tables) < 600_000
    assert [n for table in tables for n in table["a"].to_pylist()] == list(range(30_000))
    with pytest.raises(UnitError, match=r"line 30001"):
        tables_of(source(), data + b"{\n", KEY, schema, batch_bytes=300_000)


def test_a_line_longer_than_a_block_is_one_row() -> None:
    long = "y" * 2_000_000
    data = lines({"a": 1}, {"a": 2, "b": long}, {"a": 3})
    tables = tables_of(source(), data, KEY, of(a=INT64, b=TEXT), batch_bytes=1_000)
    assert [row for table in tables for row in table.to_pylist()] == [
        {"a": 1, "b": None}, {"a": 2, "b": long}, {"a": 3, "b": None}
    ]  # fmt: skip


@given(st.lists(st.fixed_dictionaries({"a": st.none() | st.integers(-(2**63), 2**63 - 1), "b": st.none() | st.text(st.characters(codec="utf-8")),
                                       "c": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                                       "d": st.none() | st.lists(st.none() | st.booleans())})))  # fmt: skip
def test_both_ways_of_reading_agree_with_python(rows: list[dict[str, Any]]) -> None:
    schema = of(a=INT64, b=TEXT, c=FLOAT64, d=pa.list_(pa.bool_()))
    data = lines(*rows)
    assert rows_of(source(), data, KEY, schema) == rows
    # A map column cannot be read at once, so that each line is read by itself.
    slow = pa.schema([*schema, ("m", pa.map_(TEXT, TEXT))])
    assert rows_of(source(), data, KEY, slow) == [{**row, "m": None} for row in rows]


def test_wikiticker_and_ticks_have_all_their_rows(data_root: Path) -> None:
    path = data_root / "wikiticker" / "wikiticker-2015-09-12-sampled.json.gz"
    table = pa.concat_tables(tables_of(source(), path.read_bytes(), "b/" + path.name))
    assert (table.num_rows, table.num_columns) == (39_244, 20)
    assert table["delta"].type == INT64
    assert table["time"][0].as_py() == "2015-09-12T00:46:58.771Z"
    counts = []
    for number in (1, 2):
        data = (data_root / "stock_ticks_upsert" / f"batch_{number}.json").read_bytes()
        counts.append(sum(each.num_rows for each in tables_of(source(), data, KEY)))
    assert counts == [3_482, 1_668]
