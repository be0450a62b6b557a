"""Daily CSV files to revenue per customer and day: exact decimals, a null key of a quarter of all lines."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from raybackfill.api import Run
from tests.real.tables import SMALL_UNITS, assert_same, backfill, contents, query, run_with_a_break, scan

LINES = 541_909
REVENUE = Decimal("9747747.934")
DAYS = 305


@dataclass(frozen=True)
class Built:
    source: Path
    target: Path
    run: Run
    contents: dict[str, pa.Table]


@pytest.fixture(scope="module")
def built(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The table, by a run that was stopped on its way."""
    source, target = data_root / "retail_by_day", tmp_path_factory.mktemp("retail") / "table"
    run = run_with_a_break(backfill("retail", source, target, SMALL_UNITS), 7)
    return Built(source, target, run, contents(target))


def test_every_line_is_counted(built: Built) -> None:
    status = built.run.status()
    rows = status["rows"]
    assert (status["state"], rows["read"]) == ("published", LINES)
    assert rows["out"] == sum(table.num_rows for table in built.contents.values())
    assert rows["merged"] == rows["read"] - rows["out"]
    assert (rows["filtered"], rows["quarantined"], rows["carried"], rows["added"]) == (0, 0, 0, 0)


def test_the_total_is_exact(built: Built) -> None:
    totals = query(f"select sum(revenue), sum(lines), count(distinct day) from {scan(built.target)}")
    assert totals.fetchall() == [(REVENUE, LINES, DAYS)]


def test_lines_without_a_customer_are_a_row_of_their_own(built: Built) -> None:
    found = query(
        f"select sum(lines), count(*), count(distinct day) from {scan(built.target)} where customer_id is null"
    )
    lines, rows, days = found.fetchall()[0]
    assert lines == 135_080
    assert rows == days > 250


def test_it_is_what_duckdb_makes_of_the_same_files(built: Built) -> None:
    lines = f"read_csv('{built.source}/*.csv.gz', all_varchar = true, header = true, filename = true, quote = '\"')"
    expected = query(f"""
        select regexp_extract(filename, '([0-9-]+)\\.csv', 1) as day, CustomerID, count(distinct InvoiceNo),
               count(*), sum(UnitPrice::decimal(18, 3) * Quantity::decimal(18, 0))
        from {lines} group by 1, 2""").fetchall()
    found = query(f"select day, customer_id, invoices, lines, revenue from {scan(built.target)}").fetchall()
    assert len(expected) == len(found)
    assert set(expected) == set(found)


def test_the_plan_names_the_days_without_a_file(built: Built) -> None:
    plan = backfill("retail", built.source, built.target).plan()
    assert plan.summary["partitions"]["missing"] == 69
    assert plan.summary["partitions"]["missing_examples"][0] == "day=2010-12-04", "a Saturday"
    assert plan.summary["target"]["differences"] == []
    assert plan.summary["source"]["ignored_examples"] == ["README.md"]


def test_a_month_again_changes_nothing(built: Built) -> None:
    march = {"scope.start": "2011-03-01", "scope.end": "2011-04-01"}
    run = backfill("retail", built.source, built.target, march).run(engine="inline")
    assert run.status()["rows"]["read"] == 36_748
    assert_same(built.contents, contents(built.target))


def test_ray_gives_the_same_table(built: Built, ray_session: None, tmp_path: Path) -> None:
    target = tmp_path / "table"
    run = backfill("retail", built.source, target, SMALL_UNITS).run(engine="ray")
    assert (run.exit_code, run.status()["rows"]) == (0, built.run.status()["rows"])
    assert_same(built.contents, contents(target))
