"""The text of Arrow types, to types and back."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.errors import SpecError
from raybackfill.spec import arrow_type, arrow_type_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("string", pa.string()),
        (" int64 ", pa.int64()),
        ("double", pa.float64()),
        ("float64", pa.float64()),
        ("float32", pa.float32()),
        ("bool", pa.bool_()),
        ("binary", pa.binary()),
        ("date", pa.date32()),
        ("date32[day]", pa.date32()),
        ("decimal(18,3)", pa.decimal128(18, 3)),
        ("decimal128(38, 0)", pa.decimal128(38, 0)),
        ("decimal256(50,2)", pa.decimal256(50, 2)),
        ("timestamp(us, UTC)", pa.timestamp("us", "UTC")),
        ("timestamp(ns)", pa.timestamp("ns")),
        ("timestamp[us, tz=Europe/Berlin]", pa.timestamp("us", "Europe/Berlin")),
        ("timestamp(ms, +02:00)", pa.timestamp("ms", "+02:00")),
        ("time64(us)", pa.time64("us")),
        ("time32[ms]", pa.time32("ms")),
        ("duration(s)", pa.duration("s")),
        ("fixed_size_binary(16)", pa.binary(16)),
        ("list<int64>", pa.list_(pa.int64())),
        ("list<item: decimal(18,3)>", pa.list_(pa.decimal128(18, 3))),
        ("list<list<string>>", pa.list_(pa.list_(pa.string()))),
        ("large_list<element: int8 not null>", pa.large_list(pa.field("element", pa.int8(), nullable=False))),
        ("struct<a: int64, b: string>", pa.struct([("a", pa.int64()), ("b", pa.string())])),
        ("struct<>", pa.struct([])),
        (
            "struct<a b: list<struct<c: bool>>>",
            pa.struct([("a b", pa.list_(pa.struct([("c", pa.bool_())])))]),
        ),
        ("map<string, timestamp(us, UTC)>", pa.map_(pa.string(), pa.timestamp("us", "UTC"))),
    ],
)
def test_a_text_names_a_type(text: str, expected: pa.DataType) -> None:
    assert arrow_type(text).equals(expected)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("", "write one like string, int64"),
        ("strin", "write one like string, int64"),
        ("float", "write float32 or double"),
        ("BIGINT", "write int64"),
        ("datetime", "write timestamp(us) or timestamp(us, UTC)"),
        ("decimal", "write one like"),
        ("decimal(39,0)", "write one like"),
        ("decimal(a,b)", "write one like"),
        ("decimal256(77,0)", "write one like"),
        ("timestamp", "write one like"),
        ("timestamp(m)", "write one like"),
        ("timestamp(us, Mars)", "write an IANA name"),
        ("timestamp(us", "put quotes around a type that has a comma"),
        ("time32(us)", "write one like"),
        ("int64(3)", "write one like"),
        ("int64 int64", "write one like"),
        ("list<>", "write one like"),
        ("list<int64", "put quotes"),
        ("struct<int64>", "write one like"),
        ("struct<a: int64, a: string>", "write each name of a struct once"),
        ("map<string>", "write one like"),
        ("set<string>", "write one like"),
        ("list<" * 50 + "int8" + ">" * 50, "write one like"),
        ("list<null not null>", "write one like"),
        ("map<null, string>", "write one like"),
        ("fixed_size_binary(-1)", "write one like"),
        ("fixed_size_binary(99999999999999)", "write one like"),
        ("dictionary<values=string, indices=int32, ordered=0>", "write one like"),
    ],
)
def test_a_text_that_names_none(text: str, step: str) -> None:
    with pytest.raises(SpecError) as caught:
        arrow_type(text)
    assert step in caught.value.next


flat = st.sampled_from(
    [
        pa.null(),
        pa.bool_(),
        pa.int8(),
        pa.uint64(),
        pa.float16(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.binary(7),
        pa.date32(),
        pa.date64(),
        pa.time32("ms"),
        pa.time64("ns"),
        pa.duration("us"),
        pa.timestamp("ms"),
        pa.timestamp("ns", "Europe/Berlin"),
        pa.decimal128(18, 3),
        pa.decimal128(5, -2),
        pa.decimal256(70, 10),
    ]
)
names = st.sampled_from(["a", "b_1", "C d", "é"])
types = st.recursive(
    flat,
    lambda inner: (
        st.builds(
            lambda t, n, null: pa.list_(pa.field(n, t, nullable=null or pa.types.is_null(t))),
            inner,
            names,
            st.booleans(),
        )
        | inner.map(pa.large_list)
        | st.dictionaries(names, inner, max_size=3).map(lambda members: pa.struct(list(members.items())))
        | st.builds(pa.map_, flat.filter(lambda t: not pa.types.is_null(t)), inner)
    ),
    max_leaves=5,
)


@given(types)
def test_types_come_back_from_their_text(type_: pa.DataType) -> None:
    assert arrow_type(arrow_type_text(type_)).equals(type_)


def test_a_type_without_a_text() -> None:
    with pytest.raises(SpecError, match="has no text here"):
        arrow_type_text(pa.dictionary(pa.int32(), pa.string()))
