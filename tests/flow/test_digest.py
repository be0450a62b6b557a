"""The digest of rows: the same for the same rows however they lie, another for one changed cell."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybackfill.control.planning.aligning import align
from raybackfill.flow.digest import digest_of, digests_of, row_hashes
from raybackfill.model import Digest

MOMENTS = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["", "\0", "twelve bytes", "thirteen byte", "x" * 20, "x" * 21, "y" * 160, "y" * 161, "z" * 1024]
    ),
    st.text(min_size=11, max_size=40),
)


def integers(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return st.one_of(st.integers(low, high), st.sampled_from([0, 1, high, low]))


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda n: Decimal(n).scaleb(-scale))


KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bool": (pa.bool_(), st.booleans()),
    "int8": (pa.int8(), integers(8)),
    "int16": (pa.int16(), integers(16)),
    "int32": (pa.int32(), integers(32)),
    "int64": (pa.int64(), integers(64)),
    "uint8": (pa.uint8(), integers(8, signed=False)),
    "uint64": (pa.uint64(), integers(64, signed=False)),
    "float": (pa.float32(), st.floats(width=32)),
    "double": (pa.float64(), st.floats()),
    "date": (pa.date32(), st.dates(date(1600, 1, 1), date(2900, 1, 1))),
    "time_us": (pa.time64("us"), st.times()),
    "seconds": (pa.timestamp("s"), MOMENTS.map(lambda t: t.replace(microsecond=0))),
    "micros": (pa.timestamp("us", "UTC"), MOMENTS.map(lambda t: t.replace(tzinfo=UTC))),
    "nanos": (pa.timestamp("ns"), integers(64)),
    "duration": (pa.duration("us"), st.timedeltas(timedelta(-9999), timedelta(9999))),
    "decimal32": (pa.decimal32(8, 2), decimals(8, 2)),
    "decimal64": (pa.decimal64(17, 3), decimals(17, 3)),
    "decimal128": (pa.decimal128(38, 9), decimals(29, 9)),
    "decimal256": (pa.decimal256(60, 2), decimals(28, 2)),
    "string": (pa.string(), TEXTS),
    "binary": (pa.binary(), st.one_of(st.binary(max_size=30), TEXTS.map(str.encode))),
    "fixed": (pa.binary(3), st.binary(min_size=3, max_size=3)),
    "list": (pa.list_(pa.int32()), st.lists(st.one_of(st.none(), integers(32)), max_size=4)),
    "texts": (pa.list_(pa.string()), st.lists(TEXTS, max_size=3)),
    "lists": (pa.large_list(pa.list_(pa.int8())), st.lists(st.lists(integers(8), max_size=3), max_size=3)),
    "pair": (pa.list_(pa.int16(), 2), st.lists(integers(16), min_size=2, max_size=2)),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        st.fixed_dictionaries({"a": st.one_of(st.none(), integers(64)), "b": TEXTS}),
    ),
    "map": (
        pa.map_(pa.string(), pa.int64()),
        st.dictionaries(st.text(max_size=3), integers(64), max_size=3).map(lambda d: list(d.items())),
    ),
}
BY_POLARS = [name for name in KINDS if name not in ("decimal256", "fixed", "map", "nanos")]


def array(kind: pa.DataType, values: list[Any]) -> pa.Array:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


@st.composite
def tables(draw: st.DrawFn, names: list[str] | None = None) -> pa.Table:
    chosen = draw(st.lists(st.sampled_from(names or list(KINDS)), min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(0, 12))
    columns = {}
    for name in chosen:
        kind, values = KINDS[name]
        drawn = draw(st.lists(st.one_of(values, st.none()), min_size=rows, max_size=rows))
        columns[name] = array(kind, drawn)
    return pa.table(columns)


def laid_out_otherwise(draw: st.DrawFn, table: pa.Table) -> pa.Table:
    """The same rows: shuffled, cut in chunks that begin anywhere in memory, in other layouts."""
    order = draw(st.permutations(range(table.num_rows)))
    table = table.take(pa.array(order, pa.int64()))
    cuts = sorted(draw(st.lists(st.integers(0, table.num_rows), max_size=3)))
    spans = zip([0, *cuts], [*cuts, table.num_rows], strict=True)
    table = pa.concat_tables([pa.concat_tables([table, table]).slice(a, b - a) for a, b in spans])
    columns = {}
    for name in draw(st.permutations(table.column_names)):
        column = table[name]
        if pa.types.is_string(column.type):
            layout = draw(st.sampled_from(["same", "large", "view", "dictionary", "runs"]))
            column = {
                "same": lambda c: c,
                "large": lambda c: c.cast(pa.large_string()),
                "view": lambda c: c.cast(pa.string_view()),
                "dictionary": lambda c: c.dictionary_encode(),
                "runs": lambda c: (
                    pa.chunked_array([run_ends(chunk) for chunk in c.chunks]) if c.num_chunks else c
                ),
            }[layout](column)
        columns[name] = column
    return pa.table(columns)


def run_ends(chunk: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.run_end_encode(chunk)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_the_layout_of_rows_does_not_matter(data: st.DataObject) -> None:
    table = data.draw(tables())
    other = laid_out_otherwise(data.draw, table)
    assert digest_of(other) == digest_of(table)


@given(tables(), st.data())
@settings(max_examples=200, deadline=None)
def test_digests_of_parts_add_up(table: pa.Table, data: st.DataObject) -> None:
    groups = np.array(
        data.draw(st.lists(st.integers(0, 2), min_size=table.num_rows, max_size=table.num_rows)), np.int32
    )
    parts = digests_of(table, groups, 3)
    assert sum(parts, Digest()) == digest_of(table)
    for group, digest in enumerate(parts):
        assert digest_of(table.filter(pa.array(groups == group))) == digest


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_one_changed_cell_gives_another_digest(name: str, data: st.DataObject) -> None:
    kind, values = KINDS[name]
    cell = st.one_of(values, st.none())
    before, after = data.draw(cell), data.draw(cell)
    others = data.draw(st.lists(cell, max_size=4))
    one, two = (pa.table({name: array(kind, [value, *others])}) for value in (before, after))
    same = canonical(before) == canonical(after)
    assert (digest_of(one) == digest_of(two)) == same


def canonical(value: Any) -> Any:
    """What the values of a cell have in common that count as one: all NaNs, and both zeros."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return value


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.int64(), [None, 0, 1, -1]),
        (pa.string(), [None, "", "\0", "\0\0", "a", "a" * 12, "a" * 13, "a" * 14, "a" * 1024, "a" * 1025]),
        (pa.float64(), [None, 0.0, 1.0, 2.0, -1.0, math.inf, -math.inf, math.nan, 5e-324]),
        (pa.list_(pa.int8()), [None, [], [None], [0], [0, 0], [None, 0], [0, None]]),
        (pa.struct([("a", pa.int8())]), [None, {"a": None}, {"a": 0}]),
        (
            pa.decimal128(38, 0),
            [None, Decimal(0), Decimal(2**64), Decimal(2**63), Decimal(-(2**63)), Decimal(-1)],
        ),
        (pa.bool_(), [None, False, True]),
    ],
)
def test_values_that_are_close_differ(kind: pa.DataType, values: list[Any]) -> None:
    hashes = row_hashes(pa.table({"x": pa.array(values, kind)})).tolist()
    assert len(set(hashes)) == len(values)


def test_values_swapped_between_rows_or_columns_are_noticed() -> None:
    """Counts, sums, minima and maxima stay what they were."""
    values = [1.0, 2.0, 4.0, 8.0]
    table = pa.table({"a": values, "b": values[::-1], "n": [1, 2, 3, 4]})
    between_rows = table.set_column(0, "a", [[2.0, 1.0, 4.0, 8.0]])
    between_columns = pa.table({"a": values[::-1], "b": values, "n": [1, 2, 3, 4]})
    assert len({digest_of(t) for t in (table, between_rows, between_columns)}) == 3


def test_round_floats_do_not_collide() -> None:
    """Doubles whose lower bits are all zero, in two columns: a sum of products would be alike often."""
    grid = [(float(a), float(b)) for a in range(-200, 200) for b in range(-200, 200)]
    table = pa.table({"a": [a for a, _ in grid], "b": [b for _, b in grid]})
    assert len(set(row_hashes(table).tolist())) == len(grid)


def test_a_row_that_stands_there_twice_counts_twice() -> None:
    row = pa.table({"a": [1]})
    assert digest_of(pa.concat_tables([row, row, row])) != digest_of(row)
    assert digest_of(row.slice(0, 0)) == Digest()


def test_widths_units_and_zones_of_the_same_value_are_one() -> None:
    def alike(values: list[Any], *types: pa.DataType) -> None:
        assert len({digest_of(pa.table({"x": pa.array(values, kind)})) for kind in types}) == 1

    alike([None, -3, 7], pa.int8(), pa.int16(), pa.int32(), pa.int64())
    alike([1.5, -0.25, None], pa.float16(), pa.float32(), pa.float64())
    alike(
        [Decimal("-1.25"), Decimal("99.00")],
        pa.decimal32(6, 2),
        pa.decimal64(9, 2),
        pa.decimal128(9, 2),
        pa.decimal256(9, 2),
    )
    alike([datetime(1969, 12, 31, 23), None], *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")))
    alike([time(1, 2, 3)], pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
    alike([b"abc", None], pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3))


def test_parts_of_lists_under_nulls_do_not_count() -> None:
    offsets, values = pa.array([0, 2, 3, 3], pa.int32()), pa.array([1, 2, 3])
    hidden = pa.ListArray.from_arrays(offsets, values, mask=pa.array([True, False, False]))
    assert digest_of(pa.table({"x": hidden})) == digest_of(pa.table({"x": pa.array([None, [3], []])}))
    pairs = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4]), 2, mask=pa.array([True, False]))
    assert digest_of(pa.table({"x": pairs})) == digest_of(
        pa.table({"x": pa.array([None, [3, 4]], pa.list_(pa.int64(), 2))})
    )


@given(tables(BY_POLARS))
@settings(max_examples=100, deadline=None)
def test_polars_gives_the_same_digest(table: pa.Table) -> None:
    back = pl.from_arrow(table).to_arrow()
    assert digest_of(align(back, table.schema)) == digest_of(table)


@given(
    tables(
        [
            n
            for n in KINDS
            if n
            not in ("decimal32", "decimal64", "decimal256", "fixed", "time_us", "nanos", "pair", "duration")
        ]
    )
)
@settings(max_examples=60, deadline=None)
def test_duckdb_gives_the_same_digest(table: pa.Table) -> None:
    with duckdb.connect() as connection:
        back = connection.from_arrow(table).to_arrow_table()
    assert digest_of(align(back, table.schema)) == digest_of(table)


@given(tables([name for name in KINDS if name not in ("duration",)]))
@settings(max_examples=60, deadline=None)
def test_a_parquet_file_gives_the_same_digest(table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=3)
    dictionaries = [name for name in table.column_names if name == "string"]
    back = pq.read_table(pa.BufferReader(sink.getvalue()), read_dictionary=dictionaries)
    assert digest_of(back) == digest_of(table)


def test_digests_are_read_back_and_of_one_algorithm() -> None:
    digest = digest_of(pa.table({"a": [1, 2, 3]}))
    assert Digest.read(str(digest)) == digest
    assert digest + Digest(5) - Digest(5) == digest
    with pytest.raises(Exception, match="made by 'other1'"):
        Digest.read("other1:00")


def test_a_type_without_canonical_form_is_refused() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(TypeError, match="canonical form"):
        digest_of(pa.table({"u": union}))
