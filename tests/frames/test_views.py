"""Queries over views: what they read, what is refused, and that much is spilled, not held."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raybackfill.control.proving import reconciling
from raybackfill.errors import SpecError, UnitError
from raybackfill.frames.views import View, Views, check_stable, columns_used

ROWS = pa.table(
    {
        "id": [1, 2, 3, 4],
        "Shop": ["a", "b", "a", None],
        "price": pa.array([Decimal("1.10"), Decimal("2.20"), None, Decimal("0.05")], pa.decimal128(18, 2)),
        "seen": pa.array([datetime(2025, 1, 1, 23, 30, tzinfo=UTC)] * 4, pa.timestamp("us", "UTC")),
        "half": pa.array([1.0] * 4, pa.float16()),
    }
)
MEMORY_BYTES = 500_000_000


class Loaded:
    """Rows in two parts, and which columns of them were asked for."""

    def __init__(self, table: pa.Table = ROWS) -> None:
        self.table = table
        self.asked: list[list[str]] = []

    def __call__(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        self.asked.append(list(columns))
        yield self.table.slice(0, 1)
        yield self.table.slice(1)


def ask(query: str, timezone: str = "UTC", **views: Any) -> list[dict[str, Any]]:
    named = {name: View(ROWS.schema, rows) for name, rows in (views or {"source": Loaded()}).items()}
    with Views(named, [query], timezone, MEMORY_BYTES) as opened:
        found: list[dict[str, Any]] = opened.ask(query).to_pylist()
        return found


def test_rows_of_all_parts_are_there_and_a_view_may_be_named_twice() -> None:
    query = (
        "select a.id, b.price as best from source a join (select max(price) as price from source) b on true"
    )
    assert ask(query + " order by id") == [{"id": n, "best": Decimal("2.20")} for n in (1, 2, 3, 4)]


def test_two_views_in_one_query() -> None:
    query = "select count(*) as n from source where id not in (select id from target where shop = 'a')"
    assert ask(query, source=Loaded(), target=Loaded()) == [{"n": 2}]


def test_sums_of_decimals_are_exact_and_times_are_of_the_zone() -> None:
    query = "select seen::date as day, sum(price) as total, count(price) as n from source group by day"
    assert ask(query, "Europe/Berlin") == [{"day": date(2025, 1, 2), "total": Decimal("3.35"), "n": 3}]
    assert ask(query, "UTC")[0]["day"] == date(2025, 1, 1)


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("select sum(id) as n from source", ["id"]),
        ("select count(*) as n from source", ["id"]),
        ("select SHOP, Price from source", ["Shop", "price"]),
        ("select s.price from source s where s.seen > '2025-01-01'", ["price", "seen"]),
        ("with source as (select id from source where id > 1) select id from source", ["id"]),
        ("select a.price from source a join source b using (shop)", ["Shop", "price"]),
        (
            "select price from source qualify row_number() over (partition by shop order by id) = 1",
            ["id", "Shop", "price"],
        ),
    ],
)
def test_only_columns_that_the_query_names_are_loaded(query: str, columns: list[str]) -> None:
    rows = Loaded()
    ask(query, source=rows)
    assert rows.asked == [columns]


@pytest.mark.parametrize(
    "query",
    [
        "select * from source",
        "select s.* exclude (half) from source s",
        "select columns('i.') from source",
        "select source from source",
        "select s from source s",
        "select #1 from source",
        "from source",
        "select id from source natural join source t",
    ],
)
def test_a_query_may_take_columns_without_naming_them(query: str) -> None:
    rows = View(ROWS.drop_columns(["half"]).schema, Loaded())
    assert columns_used([query], {"source": rows}) == {"source": ["id", "Shop", "price", "seen"]}


def test_what_several_queries_need_is_loaded_once() -> None:
    queries = ["select sum(id) as n from source", "select max(price) as n from SOURCE", "select 1 as one"]
    rows, unused = Loaded(), Loaded()
    views = {"source": View(ROWS.schema, rows), "target": View(ROWS.schema, unused)}
    with Views(views, queries, "UTC", MEMORY_BYTES) as opened:
        assert [opened.ask(query).to_pylist()[0].popitem()[1] for query in queries] == [
            10,
            Decimal("2.20"),
            1,
        ]
    assert (rows.asked, unused.asked) == ([["id", "price"]], [])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select nope from source", "Referenced column .nope. not found"),
        ("select id from orders", "Table with name orders does not exist"),
        ("select cast(shop as int) as n from source", "Could not convert string"),
        ("select id from source where id = $id", "not provided"),
        ("select * from read_csv('/etc/passwd')", "disabled by configuration"),
        ("select half from source", "DuckDB cannot carry the column half, which is halffloat"),
        ("select * from source", "cannot carry the column half"),
    ],
)
def test_a_wrong_query(query: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        ask(query)
    assert caught.value.next


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("selct id from source", "syntax error"),
        ("drop table source", "SELECT"),
        ("copy source to '/tmp/rows.csv'", "SELECT"),
        ("select 1; select 2", "one select statement is expected, found 2"),
        ("select random() as r from source", "random gives another answer each time"),
        ("select max(seen) as m from source where seen < now()", "now gives another answer"),
        ("select id from source using sample 2", "sample"),
    ],
)
def test_what_is_no_query_or_changes_by_itself_is_refused_before_rows_are_read(
    query: str, words: str
) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        check_stable(query)
    assert "transform" not in str(caught.value) and "input" not in str(caught.value)


def test_an_error_of_what_reads_the_rows_stays_what_it_is() -> None:
    def broken(columns: Sequence[str]) -> Iterable[pa.Table]:
        yield ROWS
        raise UnitError("it is broken", where="raw/a.parquet")

    with pytest.raises(UnitError, match="it is broken"):
        ask("select id from source", source=broken)


def test_more_rows_than_can_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("raybackfill.frames.views", "raybackfill.control.proving.reconciling"):
        monkeypatch.setattr(f"{module}.ROWS_MAX", 3)
    assert reconciling.ROWS_MAX == 3
    with pytest.raises(SpecError, match="more than 3 rows"):
        ask("select id from source")
    assert len(ask("select id from source limit 3")) == 3


def test_rows_beyond_the_memory_are_spilled_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spilled: list[int] = []
    size = 250_000

    def many(columns: Sequence[str]) -> Iterator[pa.Table]:
        random = np.random.default_rng(7)
        for _ in range(8):
            yield pa.table(
                {"id": pa.array(random.integers(0, 2**62, size)), "n": pa.array(random.random(size))}
            )
            spilled.append(sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()))

    query = "select count(*) as rows, count(distinct id) as ids, sum(n) as n from source"
    views = {"source": View(pa.schema([("id", pa.int64()), ("n", pa.float64())]), many)}
    with Views(views, [query], "UTC", 30_000_000) as opened:
        (row,) = opened.ask(query).to_pylist()
    assert (row["rows"], row["ids"]) == (8 * size, 8 * size)
    assert spilled[-1] > 1_000_000, "32 MB do not fit in 30 MB"
    assert list(tmp_path.iterdir()) == []
