"""What is written down of rows is right, however they come: against plain Python over the same values."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.flow.digest import digest_of
from raybackfill.flow.proof import Proof
from raybackfill.model import ColumnFacts

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "small": (pa.int8(), st.integers(-128, 127)),
    "large": (
        pa.int64(),
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**63 - 1, -(2**63)])),
    ),
    "unsigned": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "yes": (pa.bool_(), st.booleans()),
    "money": (pa.decimal128(38, 2), st.integers(-(10**37), 10**37).map(lambda n: Decimal(f"{n}E-2"))),
    "huge": (pa.decimal256(60, 0), st.integers(-(10**59), 10**59).map(Decimal)),
    "double": (pa.float64(), st.floats()),
    "day": (pa.date32(), st.dates(date(1700, 1, 1), date(2900, 1, 1))),
    "text": (pa.string(), st.text(max_size=5)),
}
FOLDERS = st.sampled_from(["k=a", "k=b", "k=c"])


@st.composite
def rows(draw: st.DrawFn) -> tuple[pa.Table, list[str]]:
    count = draw(st.integers(0, 12))
    columns = {
        name: pa.array(draw(st.lists(st.none() | value, min_size=count, max_size=count)), kind)
        for name, (kind, value) in KINDS.items()
    }
    return pa.table(columns), draw(st.lists(FOLDERS, min_size=count, max_size=count))


def proved(parts: list[tuple[pa.Table, list[str]]]) -> Proof:
    proof = Proof()
    for table, folders in parts:
        proof.add(table, pa.array(folders, pa.string()).dictionary_encode())
    return proof


def by_hand(values: list[Any]) -> tuple[int, Any, Any, Any]:
    """Nulls, smallest, largest and exact sum, by Python's own arithmetic."""
    there = [value for value in values if value is not None]
    ordered = [value for value in there if not (isinstance(value, float) and math.isnan(value))]
    total = None if not there or isinstance(there[0], float | date | str) else sum(map(Fraction, there))
    return len(values) - len(there), min(ordered, default=None), max(ordered, default=None), total


def said(value: Any) -> Any:
    """A value as a receipt says it."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else str(value)
    return value.isoformat() if isinstance(value, date) else value


@given(rows())
def test_facts_of_columns_are_those_of_plain_python(drawn: tuple[pa.Table, list[str]]) -> None:
    table, _ = drawn
    facts = proved([drawn]).columns({})
    for name in table.column_names:
        nulls, low, high, total = by_hand(table[name].to_pylist())
        if name == "text":
            low = high = None
        found = facts[name]
        assert (found.nulls, found.min, found.max) == (nulls, said(low), said(high)), name
        assert (None if found.sum is None else Fraction(found.sum)) == total, name


@given(rows(), st.data())
def test_parts_in_any_order_give_the_same(drawn: tuple[pa.Table, list[str]], data: st.DataObject) -> None:
    table, folders = drawn
    order = data.draw(st.permutations(range(table.num_rows)))
    cut = data.draw(st.integers(0, table.num_rows))
    mixed = table.take(pa.array(order, pa.int64()))
    mixed_folders = [folders[index] for index in order]
    parts = [(mixed.slice(0, cut), mixed_folders[:cut]), (mixed.slice(cut), mixed_folders[cut:])]
    whole, split = proved([drawn]), proved(parts)
    assert split.partitions() == whole.partitions()
    assert split.columns({}) == whole.columns({})


@given(rows())
def test_rows_and_digests_are_those_of_each_folder(drawn: tuple[pa.Table, list[str]]) -> None:
    table, folders = drawn
    found = {proof.partition: proof for proof in proved([drawn]).partitions()}
    assert {name: proof.rows for name, proof in found.items()} == Counter(folders)
    for name, proof in found.items():
        alone = table.filter(pa.array([folder == name for folder in folders]))
        assert proof.digest == digest_of(alone)


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.uint64(), pa.decimal128(38, 0)])
def test_sums_beyond_the_type_are_exact(kind: pa.DataType) -> None:
    most = {pa.int64(): 2**63 - 1, pa.int32(): 2**31 - 1, pa.uint64(): 2**64 - 1}.get(kind, 10**38 - 1)
    table = pa.table({"n": pa.array([most] * 5, kind)})
    facts = proved([(table, ["k=a"] * 5), (table, ["k=b"] * 5)]).columns({})
    assert int(facts["n"].sum) == 10 * most


def test_times_are_said_in_utc_and_spans_in_their_unit() -> None:
    moment = datetime(2025, 3, 30, 1, 30, tzinfo=UTC)
    table = pa.table(
        {
            "at": pa.array([moment], pa.timestamp("us", "Europe/Berlin")),
            "for": pa.array([90], pa.duration("s")),
        }
    )
    facts = proved([(table, ["k=a"])]).columns({})
    assert facts["at"] == ColumnFacts(0, "2025-03-30 01:30:00.000000", "2025-03-30 01:30:00.000000")
    assert facts["for"] == ColumnFacts(0, "90 s", "90 s")


def test_bounds_of_texts_are_the_files_and_long_ones_are_left_out() -> None:
    proof = proved([(pa.table({"text": ["b", None], "bytes": [b"\x01", b"\xff"]}), ["k=a"] * 2)])
    assert proof.columns({"text": ("a", "c"), "bytes": (b"\x01", b"\xff")}) == {
        "text": ColumnFacts(1, "a", "c"),
        "bytes": ColumnFacts(0, "01", "ff"),
    }
    assert proof.columns({"text": ("a", "c" * 65)})["text"] == ColumnFacts(1)
