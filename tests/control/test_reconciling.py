"""Two answers compared, against a plain dict of Python's: every key counted once, every difference found."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.proving.reconciling import check_rows, reconcile
from raybackfill.errors import SpecError

KEYS = st.sampled_from(["a", "b", "ä", "", None])
NUMBERS = st.sampled_from([0, 1, 2, 100, 101, None])
FLOATS = st.sampled_from([0.1, 0.2, -0.0, 0.0, 1.0, 100.5, math.nan, math.inf, -math.inf, 1e300, None])
DECIMALS = st.sampled_from([Decimal("0.10"), Decimal("0.20"), Decimal(0), Decimal(1), Decimal("100.5"), None])
VALUES = {
    pa.int32(): NUMBERS,
    pa.int64(): NUMBERS,
    pa.uint64(): NUMBERS,
    pa.float32(): FLOATS.filter(lambda value: value != 1e300),
    pa.float64(): FLOATS,
    pa.decimal128(9, 2): DECIMALS,
    pa.decimal256(60, 3): DECIMALS,
    pa.decimal128(38, 0): NUMBERS,
}
TYPES = st.sampled_from(list(VALUES))
TOLERANCES = st.sampled_from(["0", "0.1", "1", "0.5%", "50%", "0.0000001"])


@st.composite
def answers(draw: st.DrawFn) -> tuple[pa.Table, str]:
    """Rows of a text and an integer as keys, and a number; types of numbers are drawn."""
    rows = draw(st.lists(st.tuples(KEYS, NUMBERS, st.none()), max_size=10))
    key, value = draw(st.sampled_from([pa.int64(), pa.float64(), pa.decimal128(9, 2)])), draw(TYPES)
    values = draw(st.lists(VALUES[value], min_size=len(rows), max_size=len(rows)))
    columns = {
        "k": pa.array([k for k, _, _ in rows], draw(st.sampled_from([pa.string(), pa.large_string()]))),
        "n": pa.array([n if n is None else Decimal(n) for _, n, _ in rows], pa.decimal128(9, 2)).cast(key),
        "v": pa.array(values, value),
    }
    names = draw(st.permutations(list(columns)))
    return pa.table({name: columns[name] for name in names}), str(value)


def as_number(value: Any, kind: str) -> Any:
    """A value as the decimal that a person reads, exact."""
    if value is None or isinstance(value, int):
        return value
    if kind == "float":
        value = float(pa.scalar(value, pa.float32()).cast(pa.string()).as_py())
    if isinstance(value, float):
        return Fraction(repr(value)) if math.isfinite(value) else repr(value)
    return Fraction(value)


def close(one: Any, other: Any, tolerance: str) -> bool:
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    share = tolerance.endswith("%")
    bound = Fraction(tolerance.rstrip("%")) * (max(abs(one), abs(other)) / 100 if share else 1)
    return bool(abs(one - other) <= bound)


@given(answers(), answers(), TOLERANCES)
def test_it_agrees_with_a_plain_dict(
    one: tuple[pa.Table, str], other: tuple[pa.Table, str], tolerance: str
) -> None:
    sides = []
    for table, kind in (one, other):
        rows = [((row["k"], row["n"]), as_number(row["v"], kind)) for row in table.to_pylist()]
        sides.append((Counter(key for key, _ in rows), dict(rows)))
    (counts, source), (counts_target, target) = sides
    repeated = {key for key in counts | counts_target if max(counts[key], counts_target[key]) > 1}
    both = (source.keys() & target.keys()) - repeated
    different = {key for key in both if not close(source[key], target[key], tolerance)}
    found = reconcile(one[0], other[0], ["k", "n"], tolerance)
    assert found.matched == len(both - different)
    assert found.different == len(different) == found.different_in.get("v", 0)
    assert found.only_in_source == len(source.keys() - target.keys() - repeated)
    assert found.only_in_target == len(target.keys() - source.keys() - repeated)
    assert found.repeated == len(repeated)
    assert found.holds == (found.mismatched_keys == 0)
    assert found.matched + found.mismatched_keys == len(source.keys() | target.keys())
    named = {(m.kind, m.key["k"], None if m.key["n"] is None else float(m.key["n"])) for m in found.examples}
    expected = {
        "different": different,
        "only_in_source": source.keys() - target.keys() - repeated,
        "only_in_target": target.keys() - source.keys() - repeated,
        "repeated": repeated,
    }
    assert named == {(kind, *key) for kind, keys in expected.items() for key in keys}


@given(answers())
def test_an_answer_agrees_with_itself_in_any_order(given: tuple[pa.Table, str]) -> None:
    table, _ = given
    turned = table.take(pa.array(range(table.num_rows - 1, -1, -1), pa.int64()))
    found = reconcile(table, turned, ["k", "n"], "0")
    assert found.mismatched_keys == found.repeated


def one_row(value: Any, kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"k": ["a"], "v": pa.array([value], kind)})


@pytest.mark.parametrize(
    ("source", "target", "tolerance", "agree"),
    [
        ((0.1, pa.float64()), (Decimal("0.10"), pa.decimal128(5, 2)), "0", True),
        ((0.1, pa.float32()), (0.1, pa.float64()), "0", True),
        ((0.30000000000000004, pa.float64()), (Decimal("0.3"), pa.decimal128(5, 2)), "0", False),
        ((2**53 + 1, pa.int64()), (float(2**53), pa.float64()), "0", False),
        ((2**53 + 1, pa.int64()), (float(2**53), pa.float64()), "1", True),
        ((2**64 - 1, pa.uint64()), (Decimal(2**64 - 1), pa.decimal128(38, 0)), "0", True),
        (
            (Decimal("1" * 38), pa.decimal128(38, 0)),
            (Decimal("1" * 37 + "2"), pa.decimal128(38, 0)),
            "0",
            False,
        ),
        (
            (Decimal("1" * 38), pa.decimal128(38, 0)),
            (Decimal("1" * 37 + "2"), pa.decimal128(38, 0)),
            "1",
            True,
        ),
        ((Decimal(2 * 10**37), pa.decimal128(38, 0)), (Decimal(10**37), pa.decimal128(38, 0)), "50%", True),
        (
            (Decimal(2 * 10**37), pa.decimal128(38, 0)),
            (Decimal(10**37 - 1), pa.decimal128(38, 0)),
            "50%",
            False,
        ),
        ((-0.0, pa.float64()), (0.0, pa.float64()), "0", True),
        ((1.1, pa.float64()), (1.0, pa.float64()), "0.1", True),
        ((1.1000001, pa.float64()), (1.0, pa.float64()), "0.1", False),
        ((1000, pa.int64()), (1001, pa.int32()), "0.1%", True),
        ((1000, pa.int64()), (1002, pa.int32()), "0.1%", False),
        ((0, pa.int64()), (1, pa.int64()), "100%", True),
        ((math.inf, pa.float64()), (1.0, pa.float64()), "100%", False),
        ((math.inf, pa.float64()), (-math.inf, pa.float64()), "100%", False),
        ((math.nan, pa.float64()), (math.nan, pa.float32()), "0", True),
        ((None, pa.float64()), (math.nan, pa.float64()), "100%", False),
        ((None, pa.float64()), (0.0, pa.float64()), "1", False),
        ((None, pa.null()), (None, pa.int64()), "0", True),
        ((None, pa.null()), ("x", pa.string()), "0", False),
        ((None, pa.null()), (None, pa.null()), "0", True),
        (("a", pa.string()), ("a ", pa.large_string()), "100%", False),
        (("a", pa.string_view()), ("a", pa.dictionary(pa.int8(), pa.string())), "0", True),
        ((b"a", pa.binary()), (b"a", pa.binary(1)), "0", True),
        ((date(2025, 1, 1), pa.date32()), (date(2025, 1, 1), pa.date64()), "0", True),
        ((datetime(2025, 1, 1), pa.timestamp("s")), (datetime(2025, 1, 1), pa.timestamp("ns")), "0", True),
        ((datetime(1, 1, 1), pa.timestamp("s")), (datetime(1, 1, 1), pa.timestamp("us")), "0", True),
        ((1, pa.timestamp("ns")), (0, pa.timestamp("us")), "0", False),
        (
            (datetime(2025, 7, 1, tzinfo=UTC), pa.timestamp("us", "Europe/Berlin")),
            (datetime(2025, 7, 1, tzinfo=UTC), pa.timestamp("us", "UTC")),
            "0",
            True,
        ),
        ((time(1, 2, 3), pa.time32("s")), (time(1, 2, 3), pa.time64("us")), "0", True),
        ((timedelta(days=1), pa.duration("s")), (timedelta(days=1), pa.duration("ns")), "0", True),
        ((True, pa.bool_()), (False, pa.bool_()), "100%", False),
    ],
)
def test_when_two_values_agree(source: Any, target: Any, tolerance: str, agree: bool) -> None:
    found = reconcile(one_row(*source), one_row(*target), ["k"], tolerance)
    assert (found.matched, found.different) == ((1, 0) if agree else (0, 1))
    as_keys = reconcile(one_row(*source).select(["v"]), one_row(*target).select(["v"]), [], "0")
    if tolerance == "0":
        assert as_keys.matched == (1 if agree else 0)


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (("1", pa.string()), (1, pa.int64()), "column v is text in the source and a number in the target"),
        ((True, pa.bool_()), (1, pa.int64()), "column v is true or false in the source and a number"),
        (
            (0, pa.timestamp("us")),
            (0, pa.timestamp("us", "UTC")),
            "a time without a zone in the source and a time with",
        ),
        ((0, pa.timestamp("us")), (0, pa.date32()), "a time without a zone in the source and a date"),
        (([1], pa.list_(pa.int64())), ([1], pa.list_(pa.int64())), "column v is list<.*no plain value"),
        (
            (1, pa.timestamp("ns")),
            (datetime(1, 1, 1), pa.timestamp("us")),
            "column v has times in nanoseconds",
        ),
    ],
)
def test_values_that_cannot_be_compared(source: Any, target: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        reconcile(one_row(*source), one_row(*target), ["k"], "0")
    assert "cast" in caught.value.next


@pytest.mark.parametrize(
    ("source", "target", "keys", "words"),
    [
        (["a", "b"], ["a", "c"], [], "only the source's query gives b: the other one gives a, c"),
        (["a"], ["a", "c"], [], "only the target's query gives c: the other one gives a"),
        (["a", "a"], ["a", "b"], [], "the source's query gives the column a twice"),
        (["a", "b"], ["a", "b"], ["a", "z"], "keys names z, and the queries give a, b"),
    ],
)
def test_columns_that_are_not_the_same(
    source: list[str], target: list[str], keys: list[str], words: str
) -> None:
    tables = [pa.table([pa.array([1])] * len(names), names) for names in (source, target)]
    with pytest.raises(SpecError, match=words) as caught:
        reconcile(*tables, keys, "0")
    assert caught.value.next


def test_what_is_named_of_each_kind() -> None:
    source = pa.table({"k": [1, 2, 3, 3, 5], "v": [1.5, None, 0.0, 0.0, 1.0], "w": ["x", "y", "", "", "z"]})
    target = pa.table({"w": ["q", "n", "", "z"], "k": [1, 2, 4, 5], "v": [2.5, math.nan, 7.0, 1.0]})
    assert reconcile(source, target, [], "0").to_json() == {
        "keys": ["k"],
        "rows_source": 5,
        "rows_target": 4,
        "matched": 1,
        "mismatched_keys": 4,
        "only_in_source": 0,
        "only_in_target": 1,
        "different": 2,
        "repeated": 1,
        "different_in": {"v": 2, "w": 2},
        "examples": [
            {"kind": "different", "key": {"k": 1}, "column": "v", "source": 1.5, "target": 2.5},
            {"kind": "different", "key": {"k": 1}, "column": "w", "source": "x", "target": "q"},
            {
                "kind": "only_in_target",
                "key": {"k": 4},
                "column": None,
                "source": None,
                "target": {"v": 7.0, "w": ""},
            },
            {"kind": "repeated", "key": {"k": 3}, "column": None, "source": 2, "target": 0},
            {"kind": "different", "key": {"k": 2}, "column": "v", "source": None, "target": "nan"},
            {"kind": "different", "key": {"k": 2}, "column": "w", "source": "y", "target": "n"},
        ],
        "result": "failed",
    }


def test_no_kind_hides_another_and_long_texts_are_cut() -> None:
    source = pa.table({"k": range(1000), "v": ["x" * 1000] * 1000})
    target = pa.table({"k": range(500, 1500), "v": ["y"] * 1000})
    found = reconcile(source, target, ["k"], "0")
    assert (found.different, found.only_in_source, found.only_in_target) == (500, 500, 500)
    kinds = Counter(mismatch.kind for mismatch in found.examples)
    assert kinds == {"different": 7, "only_in_source": 7, "only_in_target": 6}
    assert [m.key["k"] for m in found.examples if m.kind == "only_in_source"] == list(range(7))
    assert len(next(m for m in found.examples if m.kind == "different").source) == 202


def test_nothing_on_both_sides_is_no_mismatch() -> None:
    empty = pa.table({"k": pa.array([], pa.string()), "v": pa.array([], pa.int64())})
    found = reconcile(empty, empty, [], "0")
    assert found.holds and found.matched == 0


def test_answers_of_too_many_rows_are_refused() -> None:
    check_rows(5_000_000)
    with pytest.raises(SpecError, match="more than 5,000,000 rows"):
        check_rows(5_000_001)
