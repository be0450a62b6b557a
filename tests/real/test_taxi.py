"""Monthly CSV files to days: rides of other months, a column that begins with nothing, mixed line ends."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from raybackfill.api import Run
from tests.real.tables import assert_same, backfill, contents, run_with_a_break

RIDES = 270_000
STRAYS = 10
WHOLE = [
    "vendor_id",
    "passenger_count",
    "rate_code_id",
    "pickup_location_id",
    "dropoff_location_id",
    "payment_type",
]
TIMES = ["pickup_datetime", "dropoff_datetime"]
TEXTS = ["store_and_fwd_flag", "file_month"]


@dataclass(frozen=True)
class Built:
    source: Path
    target: Path
    run: Run
    contents: dict[str, pa.Table]


@pytest.fixture(scope="module")
def built(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The table, by a run that was stopped on its way."""
    source, target = data_root / "nyc_taxi_monthly", tmp_path_factory.mktemp("taxi") / "table"
    return Built(source, target, run_with_a_break(backfill("taxi", source, target), 1), contents(target))


@pytest.fixture(scope="module")
def rides(data_root: Path) -> pl.DataFrame:
    """All CSV files as Polars reads them, every field a text, with the month of the file's name."""
    files = sorted((data_root / "nyc_taxi_monthly").glob("*.csv.gz"))
    texts = [
        pl.read_csv(gzip.decompress(file.read_bytes()), infer_schema=False).with_columns(
            file_month=pl.lit(file.name[-14:-7])
        )
        for file in files
    ]
    return pl.concat(texts)


def test_every_ride_arrives(built: Built) -> None:
    rows = built.run.status()["rows"]
    assert (rows["read"], rows["out"], rows["filtered"], rows["merged"]) == (RIDES, RIDES, 0, 0)
    assert sum(table.num_rows for table in built.contents.values()) == RIDES


def test_each_ride_lies_in_the_folder_of_its_own_day(built: Built, rides: pl.DataFrame) -> None:
    days = rides["pickup_datetime"].str.slice(0, 10).value_counts()
    expected = {f"day={day}": count for day, count in days.iter_rows()}
    found: dict[str, int] = {}
    for path, table in built.contents.items():
        folder = path.split("/")[0]
        found[folder] = found.get(folder, 0) + table.num_rows
        assert {f"day={time:%Y-%m-%d}" for time in table["pickup_datetime"].to_pylist()} == {folder}
    assert found == expected


def test_rides_in_the_file_of_another_month_are_found_in_their_own_day(
    built: Built, rides: pl.DataFrame
) -> None:
    strays = rides.filter(pl.col("pickup_datetime").str.slice(0, 7) != pl.col("file_month"))
    assert strays.height == STRAYS
    for ride in strays.iter_rows(named=True):
        day = f"day={ride['pickup_datetime'][:10]}/"
        there = [row for path in built.contents if path.startswith(day) for row in _strays_of(built, path)]
        assert (ride["pickup_datetime"], ride["file_month"], float(ride["total_amount"])) in there


def _strays_of(built: Built, path: str) -> list[tuple[str, str, float]]:
    rows = built.contents[path].select(["pickup_datetime", "file_month", "total_amount"]).to_pylist()
    return [(str(row["pickup_datetime"]), f"{row['file_month']:%Y-%m}", row["total_amount"]) for row in rows]


def test_every_value_is_what_polars_reads(built: Built, rides: pl.DataFrame) -> None:
    """Nulls stay nulls, and a column that is empty in the files of 2018 is one of doubles in all."""
    found = pl.DataFrame(pa.concat_tables(built.contents.values()).drop_columns("unexplained"))
    found = found.with_columns(pl.col("file_month").dt.strftime("%Y-%m"))
    numbers = [name for name in rides.columns if name not in (*WHOLE, *TIMES, *TEXTS)]
    expected = rides.with_columns(
        pl.col(WHOLE).cast(pl.Int64),
        pl.col(numbers).cast(pl.Float64),
        pl.col(TIMES).str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms"),
    )
    assert_frame_equal(found, expected, check_row_order=False, check_exact=True)
    assert found["congestion_surcharge"].null_count() >= 30_000


def test_unexplained_is_the_total_less_its_parts(built: Built) -> None:
    rows = pl.DataFrame(pa.concat_tables(built.contents.values()))
    parts = "fare_amount extra mta_tax tip_amount tolls_amount improvement_surcharge congestion_surcharge"
    rest = pl.col("total_amount") - pl.sum_horizontal(*parts.split())
    wrong = rows.filter(((rest - pl.col("unexplained")).abs() > 0.0051) | pl.col("unexplained").is_null())
    assert wrong.height == 0
    assert rows.filter(pl.col("unexplained").abs() > 0.005).height > 10_000


def test_the_plan_shows_the_drift(built: Built) -> None:
    plan = backfill("taxi", built.source, built.target).plan()
    assert [(d["column"], d["kind"], d["objects"]) for d in plan.summary["drift"]] == [
        ("congestion_surcharge", "null_typed", 3)
    ]
    assert plan.summary["source"]["schema"]["congestion_surcharge"] == "double"
    assert plan.summary["target"]["differences"] == []


def test_again_it_is_the_same_table(built: Built) -> None:
    run = backfill("taxi", built.source, built.target).run(engine="inline")
    assert run.status()["table"]["version"] == 2
    assert_same(built.contents, contents(built.target))


def test_one_day_again_takes_its_ride_from_the_file_of_another_month(built: Built) -> None:
    day = {"scope.start": "2019-04-12", "scope.end": "2019-04-13"}
    run = backfill("taxi", built.source, built.target, day).run(engine="inline")
    status = run.status()
    there = [path for path in built.contents if path.startswith("day=2019-04-12/")]
    assert status["rows"]["out"] == sum(built.contents[path].num_rows for path in there) > 0
    assert status["rows"]["filtered"] == RIDES - status["rows"]["out"]
    assert status["files"]["staged"] == len(there)
    assert_same(built.contents, contents(built.target))
