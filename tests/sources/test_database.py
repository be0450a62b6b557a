"""Answers of a real database, and every way not to get one. No message shows a password."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from raybackfill.control.proving import reconciling
from raybackfill.errors import RaybackfillError, SpecError, TransientError
from raybackfill.sources.database import _array, ask_database, check_database

PASSWORD = "hunter2"


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """The URL of a database of SQLite's with a table of customers."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table customers (id integer, name text, balance real, photo blob)")
        rows = [(1, "Ada", 10.5, b"\x00\xff"), (2, "100 %s :x", None, None), (3, None, 2, b"")]
        connection.executemany("insert into customers values (?, ?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{path}"


def refused(url: str, query: str = "select 1 as one") -> RaybackfillError:
    with pytest.raises(RaybackfillError) as caught:
        ask_database(url, query)
    assert PASSWORD not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    assert caught.value.next
    return caught.value


def test_rows_come_in_arrow_types(shop: str) -> None:
    table = ask_database(shop, "select * from customers order by id")
    assert table.schema.types == [pa.int64(), pa.string(), pa.float64(), pa.binary()]
    assert table.to_pylist() == [
        {"id": 1, "name": "Ada", "balance": 10.5, "photo": b"\x00\xff"},
        {"id": 2, "name": "100 %s :x", "balance": None, "photo": None},
        {"id": 3, "name": None, "balance": 2.0, "photo": b""},
    ]


def test_a_query_is_sent_as_it_is_written(shop: str) -> None:
    query = "-- percent % and :colon\nselect id from customers where name like '100 %s :x' /* %d */"
    assert ask_database(shop, query)["id"].to_pylist() == [2]


def test_no_rows_still_have_their_columns(shop: str) -> None:
    table = ask_database(shop, "select id, name from customers where id > 9")
    assert (table.num_rows, table.column_names) == (0, ["id", "name"])
    assert table.schema.types == [pa.null(), pa.null()]


def test_many_rows_come_in_parts(shop: str) -> None:
    count = "with recursive n(x) as (select 1 union all select x + 1 from n where x < 25001) select x from n"
    assert ask_database(shop, count)["x"].to_pylist() == list(range(1, 25_002))


def test_more_rows_than_can_be_compared(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "ROWS_MAX", 2)
    assert "more than 2 rows" in refused(shop, "select id from customers").message
    assert ask_database(shop, "select id from customers limit 2").num_rows == 2


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select nope from customers", "no such column: nope"),
        ("select * from orders", "no such table: orders"),
        ("select from where", "syntax error"),
        ("select 1 as one; select 2", "one statement"),
        ("delete from customers", "a database is only asked"),
        ("  /* x */ -- y\n drop table customers", "a database is only asked"),
        ("with x as (select 1) delete from customers", "a database is only asked, and the query says delete"),
        ("select 1 as one; DROP table customers", "says DROP"),
        ("select id into copied from customers", "says into"),
        ("select id from customers where name = 'it''s' for update", "says update"),
        (
            "select typeof(id) as t, case id when 1 then 'a' else 2 end as mixed from customers",
            "mixed holds values of no",
        ),
    ],
)
def test_a_wrong_query(shop: str, query: str, words: str) -> None:
    error = refused(shop, query)
    assert isinstance(error, SpecError)
    assert words in error.message
    assert ask_database(shop, "select count(*) as n from customers")["n"].to_pylist() == [3]


def test_words_of_a_text_a_comment_or_a_quoted_name_change_nothing(shop: str) -> None:
    query = """select 'drop it''s', "id" as "delete", 1 as updated /* insert */ from customers -- alter"""
    assert ask_database(shop, query).column_names == ["'drop it''s'", "delete", "updated"]


def test_a_connection_cannot_write_even_where_words_do_not_tell(
    shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raybackfill.sources.database._WRITES", re.compile("(?!)"))
    assert "readonly" in refused(shop, "with x as (select 1) delete from customers").message
    assert ask_database(shop, "select count(*) as n from customers")["n"].to_pylist() == [3]


def test_a_database_that_is_busy_may_answer_next_time(shop: str, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    connection.execute("begin exclusive")
    try:
        error = refused(f"{shop}?timeout=0", "select id from customers")
    finally:
        connection.close()
    assert isinstance(error, TransientError) and "locked" in error.message


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("nonsense", SpecError, "not the URL of a database"),
        (f"postgresql://me:{PASSWORD}@host:port/db", SpecError, "not the URL of a database"),
        (f"nosuch://me:{PASSWORD}@host/db", SpecError, "SQLAlchemy knows no database nosuch"),
        (f"sqlite+nosuch://me:{PASSWORD}@host/db", SpecError, "SQLAlchemy knows no database sqlite+nosuch"),
        (
            f"oracle+cx_oracle://me:{PASSWORD}@host/db",
            SpecError,
            "the driver of oracle+cx_oracle is not installed",
        ),
        ("sqlite:////no/such/file.db", SpecError, "there is no database /no/such/file.db"),
    ],
)
def test_a_url_that_leads_nowhere(url: str, kind: type[RaybackfillError], words: str) -> None:
    error = refused(url)
    assert type(error) is kind
    assert words in error.message
    with pytest.raises(SpecError):
        check_database(url, "select 1 as one")


def test_no_file_is_made_where_there_is_no_database(tmp_path: Path) -> None:
    refused(f"sqlite:///{tmp_path}/new.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Query string argument")
def test_nobody_who_answers_is_transient_and_no_password_is_shown(
    monkeypatch: pytest.MonkeyPatch, shop: str
) -> None:
    """SQLite asks for no password: its driver is made to fail as one that does, and to say too much."""

    def connect(*args: Any, **options: Any) -> Any:
        raise sqlite3.OperationalError(f"no server; tried me:{PASSWORD} with key k%3D{PASSWORD}\nsecond line")

    monkeypatch.setattr("sqlalchemy.dialects.sqlite.pysqlite.SQLiteDialect_pysqlite.connect", connect)
    error = refused(f"sqlite:///:memory:?password={PASSWORD}&timeout=1")
    assert isinstance(error, TransientError)
    assert "cannot connect to sqlite:///:memory:: no server; tried me:***" in error.message
    assert "second line" not in error.message


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, 1, 2], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([2**70, 1], pa.decimal256(76, 0)),
        ([2**53 + 1, 0.5], pa.decimal256(76, 1)),
        ([Decimal("1.5"), 2**70, None], pa.decimal256(76, 1)),
        ([Decimal("1.5"), Decimal("10.25")], pa.decimal128(4, 2)),
        ([date(2025, 1, 1)], pa.date32()),
        ([datetime(2025, 1, 1)], pa.timestamp("us")),
        ([datetime(2025, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        ([time(1, 2)], pa.time64("us")),
        ([UUID(int=7), None], pa.string()),
        ([memoryview(b"a")], pa.binary()),
    ],
)
def test_values_of_drivers(values: list[Any], kind: pa.DataType) -> None:
    array = _array("x", values)
    assert array.type == kind
    if not isinstance(values[0], UUID | memoryview):
        assert array.to_pylist() == values
