"""Which schema holds all objects, what of that is told, and which values fit it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.planning.schemas import (
    Conflict,
    Drift,
    Resolution,
    SchemaGroup,
    align,
    canonical_output,
    resolve,
)

I8, I16, I32, I64 = pa.int8(), pa.int16(), pa.int32(), pa.int64()
U8, U16, U32, U64 = pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()
F16, F32, F64 = pa.float16(), pa.float32(), pa.float64()
TEXT, BYTES = pa.string(), pa.binary()


def resolved(*kinds: pa.DataType, how: Any = "typed", **overrides: pa.DataType) -> Resolution:
    groups = [SchemaGroup(pa.schema([("x", kind)]), 1, f"k{i}") for i, kind in enumerate(kinds)]
    return resolve(groups, how, overrides)


WIDER = [
    (I32, I64, I64), (I8, I16, I16), (U8, U32, U32), (U32, I64, I64), (U8, I8, I16), (U16, I8, I32), (U32, I32, I64),
    (F32, F64, F64), (F16, F32, F32), (I32, F64, F64), (U32, F64, F64), (I16, F32, F64),
    (pa.null(), TEXT, TEXT), (pa.null(), pa.list_(I32), pa.list_(I32)),
    (pa.decimal128(10, 2), pa.decimal128(8, 4), pa.decimal128(12, 4)),
    (pa.decimal32(5, 1), pa.decimal64(10, 2), pa.decimal128(10, 2)),
    (pa.decimal256(40, 2), pa.decimal128(38, 4), pa.decimal256(42, 4)),
    (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
    (pa.timestamp("ms", "UTC"), pa.timestamp("us", "Europe/Berlin"), pa.timestamp("us", "UTC")),
    (pa.time32("s"), pa.time64("us"), pa.time64("us")), (pa.duration("s"), pa.duration("ns"), pa.duration("ns")),
    (pa.date32(), pa.date64(), pa.date32()),
    (TEXT, pa.large_string(), TEXT), (pa.string_view(), pa.large_string(), TEXT),
    (pa.dictionary(pa.int32(), TEXT), TEXT, TEXT),
    (BYTES, pa.large_binary(), BYTES), (BYTES, pa.binary(4), BYTES), (pa.binary(2), pa.binary(4), BYTES),
    (pa.list_(I32), pa.list_(I64), pa.list_(I64)), (pa.large_list(I32), pa.list_(I32), pa.list_(I32)),
    (pa.list_(I32, 2), pa.list_(I64, 2), pa.list_(I64, 2)), (pa.list_(I32, 2), pa.list_(I32, 3), pa.list_(I32)),
    (pa.map_(TEXT, I32), pa.map_(TEXT, I64), pa.map_(TEXT, I64)),
    (pa.struct([("a", I32)]), pa.struct([("b", TEXT), ("a", I64)]), pa.struct([("a", I64), ("b", TEXT)])),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "both"), WIDER, ids=str)
def test_what_fits_together_widens(one: pa.DataType, other: pa.DataType, both: pa.DataType) -> None:
    found = resolved(one, other)
    assert found.conflicts == ()
    assert found.schema.field("x").type == both
    assert resolved(other, one).conflicts == ()


CONFLICTS = [
    (U64, I8), (I64, F64), (U64, F32), (pa.bool_(), I64), (TEXT, I64), (TEXT, BYTES), (pa.date32(), pa.timestamp("s")),
    (pa.timestamp("us"), pa.timestamp("us", "UTC")), (pa.decimal128(38, 0), pa.decimal128(38, 10)),
    (pa.decimal128(10, 2), I32), (pa.list_(I64), pa.list_(F64)), (pa.struct([("a", I64)]), pa.struct([("a", TEXT)])),
    (pa.struct([("a", I64)]), pa.map_(TEXT, I64)), (pa.time32("s"), pa.duration("s")),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), CONFLICTS, ids=str)
def test_what_does_not_fit_together_is_a_conflict(one: pa.DataType, other: pa.DataType) -> None:
    found = resolved(one, other)
    assert found.conflicts == (Conflict("x", str(one), "k0", str(other), "k1"),)
    assert "source.schema" in str(found.conflicts[0])
    assert len(resolved(other, one).conflicts) == 1
    settled = resolved(one, other, x=TEXT)
    assert (settled.schema, settled.conflicts) == (pa.schema([("x", TEXT)]), ())


def test_a_conflict_names_the_object_that_showed_the_first_type() -> None:
    found = resolved(pa.null(), I64, TEXT)
    assert found.conflicts == (Conflict("x", "int64", "k1", "string", "k2"),)


def test_texts_that_do_not_fit_together_stay_text() -> None:
    assert resolved(I64, TEXT, how="text").schema.field("x").type == TEXT
    assert resolved(F64, TEXT, how="text").drift == (Drift("x", "text", 1, "k0"),)
    assert resolved(I64, F64, how="text").schema.field("x").type == F64
    assert resolved(pa.null(), I64, how="text").schema.field("x").type == I64
    assert resolved(I64, TEXT, F64, how="text").conflicts == ()


def test_drift_counts_objects_and_keeps_the_first_order() -> None:
    groups = [
        SchemaGroup(pa.schema([("a", I32), ("b", TEXT), ("c", I64)]), 10, "first"),
        SchemaGroup(pa.schema([("b", pa.null()), ("a", I64), ("c", I64)]), 3, "second"),
        SchemaGroup(pa.schema([("a", I32), ("c", I64), ("d", F64)]), 2, "third"),
        SchemaGroup(pa.schema([("a", I32), ("d", F64), ("e", F64)]), 1, "fourth"),
    ]
    found = resolve(groups, "typed", {})
    assert found.schema.names == ["a", "b", "c", "d", "e"]
    assert found.schema.types == [I64, TEXT, I64, F64, F64]
    assert set(found.drift) == {
        Drift("a", "widened", 13, "first"),
        Drift("b", "null_typed", 3, "second"),
        Drift("b", "missing", 3, "third"),
        Drift("c", "missing", 1, "fourth"),
        Drift("d", "added", 3, "third"),
        Drift("e", "added", 1, "fourth"),
        Drift("a", "reordered", 3, "second"),
    }
    assert len(found.drift) == 7


def test_equal_schemas_do_not_drift_and_no_schemas_are_empty() -> None:
    schema = pa.schema(
        [pa.field("a", I32, nullable=False), ("b", pa.list_(pa.field("v", TEXT, nullable=False)))]
    )
    found = resolve([SchemaGroup(schema, 5, "k"), SchemaGroup(schema, 5, "l")], "typed", {})
    assert found == Resolution(schema, (), ())
    assert resolve([], "text", {"a": TEXT}) == Resolution(pa.schema([]), (), ())


def test_a_column_that_may_be_missing_may_be_null() -> None:
    required = pa.schema([pa.field("a", I32, nullable=False)])
    found = resolve(
        [SchemaGroup(required, 1, "k"), SchemaGroup(pa.schema([("b", I32)]), 1, "l")], "typed", {}
    )
    assert found.schema.field("a").nullable


def test_aligning_an_equal_table_is_free() -> None:
    table = pa.table({"a": [1, 2]})
    assert align(table, table.schema) is table


def test_align_orders_fills_and_widens() -> None:
    table = pa.table({"b": pa.array([1, None], I32), "a": ["x", None]})
    schema = pa.schema([("a", TEXT), ("gone", pa.list_(I64)), ("b", I64)])
    assert align(table, schema).to_pylist() == [
        {"a": "x", "gone": None, "b": 1},
        {"a": None, "gone": None, "b": None},
    ]
    assert align(table, schema).schema == schema


NESTED = pa.struct([("y", TEXT), ("x", I64)])
INNER = pa.struct([("x", I32)])


@pytest.mark.parametrize(
    ("own", "kind", "values", "expected"),
    [
        (INNER, NESTED, [{"x": 1}, None], [{"y": None, "x": 1}, None]),
        (pa.list_(INNER), pa.list_(NESTED), [[{"x": 1}], None, []], [[{"y": None, "x": 1}], None, []]),
        (pa.large_list(INNER), pa.list_(NESTED), [[{"x": 1}, None]], [[{"y": None, "x": 1}, None]]),
        (pa.map_(TEXT, INNER), pa.map_(TEXT, NESTED), [[("k", {"x": 1})]], [[("k", {"y": None, "x": 1})]]),
        (pa.list_(pa.null()), pa.list_(NESTED), [[], [None], None], [[], [None], None]),
        (pa.struct([("x", pa.null())]), NESTED, [{"x": None}], [{"y": None, "x": None}]),
        (pa.list_(I32, 2), pa.list_(I64), [[1, 2], None], [[1, 2], None]),
        (
            pa.list_view(pa.string_view()),
            pa.list_(TEXT),
            [["a"], None, ["b", "c"]],
            [["a"], None, ["b", "c"]],
        ),
        (
            pa.struct([("v", pa.list_view(I32))]),
            pa.struct([("v", pa.list_(I64))]),
            [{"v": [1]}, None],
            [{"v": [1]}, None],
        ),
        (pa.large_list_view(pa.list_view(I32)), pa.list_(pa.list_(I32)), [[[1], None]], [[[1], None]]),
        (pa.string_view(), TEXT, ["a", None], ["a", None]),
        (pa.dictionary(I32, TEXT), TEXT, ["a", None], ["a", None]),
        (pa.timestamp("ms", "Europe/Berlin"), pa.timestamp("us", "UTC"), [0, None], None),
        (pa.decimal128(5, 1), pa.decimal128(12, 4), [Decimal("1.5")], [Decimal("1.5000")]),
        (I64, F64, [2**53, None], [2.0**53, None]),
        (I64, I32, [5, None], [5, None]),
        (F64, F32, [0.5, None, float("inf")], [0.5, None, float("inf")]),
        (F64, pa.decimal128(10, 2), [0.25], [Decimal("0.25")]),
        (pa.timestamp("us"), pa.date32(), [datetime(2020, 1, 1)], [date(2020, 1, 1)]),
        (BYTES, TEXT, [b"ok"], ["ok"]),
    ],
    ids=str,
)
def test_align_casts_what_stays_the_same(own: Any, kind: Any, values: list[Any], expected: Any) -> None:
    table = pa.table({"c": pa.array([0, 7, 8], I64), "x": pa.chunked_array([pa.array(values[:1], own)] * 3)})
    assert align(table, pa.schema([("c", I64), ("x", kind)])).num_rows == 3
    found = align(pa.table({"x": pa.array([*values[:1], *values], own)}).slice(1), pa.schema([("x", kind)]))
    found.validate(full=True)
    assert found.schema.field("x").type == kind
    assert expected is None or found["x"].to_pylist() == expected


@pytest.mark.parametrize(
    ("own", "kind", "values", "message"),
    [
        (I64, I8, [1, 2, 300, 400], r"x: 300 \(row 3\) does not fit int8"),
        (I64, F64, [1, 2**53 + 1], r"9007199254740993 \(row 2\)"),
        (F64, F32, [0.5, 0.1], r"0\.1 \(row 2\)"),
        (F64, I64, [1.0, 1.5], r"1\.5 \(row 2\)"),
        (F64, I64, [float("nan")], "nan"),
        (F64, pa.decimal128(10, 2), [0.125], r"0\.125"),
        (pa.decimal128(10, 3), pa.decimal128(10, 2), [Decimal("1.100"), Decimal("1.101")], r"1\.101.*row 2"),
        (pa.timestamp("us"), pa.timestamp("ms"), [1000, 1001], "row 2"),
        (pa.timestamp("ms"), pa.timestamp("ns"), [2**60], "row 1"),
        (pa.timestamp("us"), pa.date32(), [datetime(2020, 1, 1, 0, 0, 1)], "row 1"),
        (pa.timestamp("us"), pa.timestamp("us", "UTC"), [0], "does not fit"),
        (pa.timestamp("us", "UTC"), pa.timestamp("us"), [0], "does not fit"),
        (TEXT, I64, ["8"], "string does not fit int64"),
        (I64, TEXT, [8], "int64 does not fit string"),
        (pa.bool_(), I64, [True], "bool does not fit"),
        (BYTES, TEXT, [b"ok", b"\xff"], "row 2"),
        (pa.struct([("x", I64), ("z", I64)]), NESTED, [{"x": 1, "z": 2}], "does not fit"),
        (pa.list_(pa.struct([("z", I64)])), pa.list_(NESTED), [[{"z": 2}]], "does not fit"),
        (pa.list_(I64), pa.list_(I8), [[1], [2, 300]], r"row 2\) does not fit"),
        (
            pa.list_(I64),
            pa.list_(pa.field("item", I64, nullable=False)),
            [[1], [None]],
            r"row 2\) does not fit",
        ),
        (pa.map_(TEXT, I64), pa.map_(TEXT, pa.field("v", I64, nullable=False)), [[("a", None)]], "row 1"),
    ],
    ids=str,
)
def test_align_names_what_does_not_fit(own: Any, kind: Any, values: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        align(pa.table({"x": pa.array(values, own)}), pa.schema([("x", kind)]))
    assert "column x" in str(caught.value)


def test_align_refuses_extra_doubled_and_missing_columns() -> None:
    schema = pa.schema([("a", I64)])
    with pytest.raises(ValueError, match="column b is not in the schema"):
        align(pa.table({"a": [1], "b": [2]}), schema)
    with pytest.raises(ValueError, match="a stands twice"):
        align(pa.table([[1], [2]], names=["a", "a"]), schema)
    required = pa.schema([pa.field("a", I64, nullable=False)])
    with pytest.raises(ValueError, match="column a may not be null, and 1 of 2"):
        align(pa.table({"a": [1, None]}), required)
    with pytest.raises(ValueError, match="column a may not be null, and 2 of 2"):
        align(pa.table({"b": [1, 2]}), pa.schema([*required, ("b", I64)]))


def test_only_the_rows_of_a_slice_are_looked_at() -> None:
    table = pa.table({"x": pa.array([[1], [2], [300]], pa.list_(I64))}).slice(0, 2)
    found = align(table, pa.schema([("x", pa.list_(I8))]))
    assert found["x"].to_pylist() == [[1], [2]]


WIDENING = [(one, both) for one, other, both in WIDER for one in (one, other)]
SIMPLE = {
    I8: st.integers(-128, 127), I16: st.integers(-(2**15), 2**15 - 1), I32: st.integers(-(2**31), 2**31 - 1),
    I64: st.integers(-(2**63), 2**63 - 1), U8: st.integers(0, 255), U16: st.integers(0, 2**16 - 1),
    U32: st.integers(0, 2**32 - 1), F32: st.floats(width=32, allow_nan=False), F64: st.floats(allow_nan=False),
    TEXT: st.text(), pa.large_string(): st.text(), pa.string_view(): st.text(), BYTES: st.binary(),
    pa.list_(I32): st.lists(st.integers(-5, 5)), pa.timestamp("s"): st.integers(-(10**9), 10**9),
}  # fmt: skip


@given(st.data())
def test_widening_changes_no_value(data: st.DataObject) -> None:
    own, kind = data.draw(st.sampled_from([pair for pair in WIDENING if pair[0] in SIMPLE]))
    values = data.draw(st.lists(st.none() | SIMPLE[own]))
    array = pa.array(values, own)
    found = align(pa.table({"x": array}), pa.schema([("x", kind)]))["x"]
    assert found.type == kind
    assert found.cast(own).combine_chunks().to_pylist() == array.to_pylist()


@given(st.lists(st.none() | st.floats(), max_size=20))
def test_narrowing_keeps_each_value_or_names_the_first_that_it_would_change(
    values: list[float | None],
) -> None:
    array = pa.array(values, F64)
    narrow = array.cast(F32).cast(F64)
    same = pc.or_(pc.equal(narrow, array), pc.is_nan(array)).to_pylist()
    schema = pa.schema([("x", F32)])
    if False in same:
        with pytest.raises(ValueError, match=rf"\(row {same.index(False) + 1}\)"):
            align(pa.table({"x": array}), schema)
    else:
        assert align(pa.table({"x": array}), schema)["x"].null_count == array.null_count


def test_an_output_is_held_in_plain_types() -> None:
    schema = pa.schema(
        [
            pa.field("a", pa.string_view(), nullable=False, metadata={"k": "v"}),
            ("b", pa.dictionary(I32, pa.large_string())),
            ("c", pa.large_list(pa.binary_view())),
            ("d", pa.struct([("x", pa.list_view(pa.large_string()))])),
            ("e", pa.map_(pa.string_view(), pa.large_binary())),
            ("f", pa.run_end_encoded(I32, TEXT)),
            ("g", pa.uuid()),
            ("h", pa.list_(pa.string_view(), 2)),
        ],
        metadata={"k": "v"},
    )
    assert canonical_output(schema).equals(
        pa.schema(
            [
                pa.field("a", TEXT, nullable=False),
                ("b", TEXT),
                ("c", pa.list_(BYTES)),
                ("d", pa.struct([("x", pa.list_(TEXT))])),
                ("e", pa.map_(TEXT, BYTES)),
                ("f", TEXT),
                ("g", pa.binary(16)),
                ("h", pa.list_(TEXT, 2)),
            ]
        ),
        check_metadata=True,
    )


def test_tables_fit_their_own_canonical_schema() -> None:
    table = pa.table(
        {
            "a": pa.array(["x", None], pa.string_view()),
            "b": pa.array(["x", None]).dictionary_encode(),
            "c": pc.run_end_encode(pa.array(["x", None])),
            "d": pa.array([b"a" * 16, None], pa.uuid()),
            "e": pa.array([["x"], None], pa.large_list_view(pa.string_view())),
        }
    )
    found = align(table, canonical_output(table.schema))
    assert found["a"].to_pylist() == found["b"].to_pylist() == found["c"].to_pylist() == ["x", None]
    assert found["d"].to_pylist() == [b"a" * 16, None]
    assert found["e"].to_pylist() == [["x"], None]
