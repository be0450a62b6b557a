"""Two batches of JSON lines by date: a date that is written with slashes, and the same keys twice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from raybackfill.api import Run
from tests.real.tables import assert_same, backfill, contents, query, scan

TICKS = 5_150
VALUES = ("key", "symbol", "volume", "open", "high", "low", "close")


@dataclass(frozen=True)
class Built:
    source: Path
    target: Path
    run: Run
    contents: dict[str, pa.Table]


@pytest.fixture(scope="module")
def built(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    source, target = data_root / "stock_ticks_upsert", tmp_path_factory.mktemp("ticks") / "table"
    return Built(source, target, backfill("ticks", source, target).run(engine="inline"), contents(target))


def test_every_tick_arrives_in_the_folder_of_its_date(built: Built) -> None:
    rows = built.run.status()["rows"]
    assert (rows["read"], rows["out"]) == (TICKS, TICKS)
    assert list(built.contents) == ["date=2018-08-31/part-00000.parquet"]
    assert {table.num_rows for table in built.contents.values()} == {TICKS}


def test_every_value_is_that_of_its_line(built: Built) -> None:
    expected = [
        (batch, datetime.fromisoformat(tick["ts"]), *(tick[name] for name in VALUES))
        for batch in (1, 2)
        for tick in map(json.loads, (built.source / f"batch_{batch}.json").read_text().splitlines())
    ]
    found = query(f"select batch, ts, {', '.join(VALUES)} from {scan(built.target)}").fetchall()
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("batches", "last"),
    [
        ("1", (datetime(2018, 8, 31, 10, 29), 3391, 1230.1899, 1230.085)),
        ("1, 2", (datetime(2018, 8, 31, 10, 59), 9021, 1227.1993, 1227.215)),
    ],
)
def test_the_last_tick_of_a_symbol_is_the_one_that_is_known(
    built: Built, batches: str, last: tuple[object, ...]
) -> None:
    found = query(f"""
        select ts, volume, open, close from {scan(built.target)}
        where symbol = 'GOOG' and batch in ({batches}) order by ts desc limit 1""")
    assert found.fetchall() == [last]


def test_again_it_is_the_same_table(built: Built) -> None:
    backfill("ticks", built.source, built.target).run(engine="inline")
    assert_same(built.contents, contents(built.target))
