"""A race over a tiny input, without Ray: figures are there, and wrong outputs are caught. No times."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

pytest.importorskip("duckdb", reason="benchmarks need duckdb")
pytest.importorskip("polars", reason="benchmarks need polars")

from benchmarks.__main__ import compete
from benchmarks.checking import complaint, expected_rows, look_at
from benchmarks.contestants import CONTESTANTS
from benchmarks.report import document, table
from benchmarks.revenue import with_arrow
from benchmarks.workloads import Input, Workload, prepare

TINY = Workload("W1", 2, 600, 2)
WITHOUT_RAY = [each for each in CONTESTANTS if each.name in ("polars", "duckdb", "raybackfill-inline")]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Input:
    return prepare(TINY, tmp_path_factory.mktemp("inputs"))


def test_a_race_gives_figures_for_every_contestant(source: Input, tmp_path: Path) -> None:
    standings = compete(source, WITHOUT_RAY, tmp_path, 1, 2)
    found = document(source, standings)
    assert {engine["name"] for engine in found["engines"]} == {each.name for each in WITHOUT_RAY}
    for engine in found["engines"]:
        assert engine["seconds"] > 0
        assert engine["output_files"] >= TINY.days
        assert engine["codecs"] == ["zstd"]
        assert engine["ratios"]["polars"] > 0
    ours = next(engine for engine in found["engines"] if engine["name"] == "raybackfill-inline")
    assert ours["rows_a_unit"] * ours["units"] == TINY.rows
    assert ours["requests_a_unit"] > 0
    assert 0 < ours["proof_percent"] < 100
    assert ours["read_back_percent"] > 0
    assert json.loads(json.dumps(found)) == found
    shown = table(found)
    assert all(each.name in shown and each.writes in shown for each in WITHOUT_RAY)
    assert list(tmp_path.iterdir()) == []


def test_the_same_workload_is_the_same_rows(source: Input, tmp_path: Path) -> None:
    again = prepare(TINY, tmp_path)
    assert expected_rows(again.folder) == expected_rows(source.folder)
    made = {path.name: path.stat().st_mtime_ns for path in again.folder.glob("*/*")}
    prepare(TINY, tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in again.folder.glob("*/*")} == made


def _written(source: Input, target: Path) -> Path:
    """The right table, one file a day."""
    for folder in sorted(source.folder.iterdir()):
        files = [pq.ParquetFile(path).read() for path in sorted(folder.iterdir())]
        (target / folder.name).mkdir(parents=True)
        pq.write_table(with_arrow(pa.concat_tables(files)), target / folder.name / "part.parquet")
    return target


def test_a_right_table_is_accepted(source: Input, tmp_path: Path) -> None:
    output = look_at(_written(source, tmp_path / "table"))
    assert complaint(output, expected_rows(source.folder)) == ""
    assert output.files == TINY.days


def _one_row_less(rows: pa.Table) -> pa.Table:
    return rows.slice(1)


def _one_row_for_another(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows.slice(0, 1), rows.slice(0, 1), rows.slice(2)])


def _one_cent_more(rows: pa.Table) -> pa.Table:
    index = rows.column_names.index("revenue_usd")
    return rows.set_column(index, "revenue_usd", pc.add(rows["revenue_usd"], 0.01))


def _not_rounded(rows: pa.Table) -> pa.Table:
    index = rows.column_names.index("revenue_usd")
    return rows.set_column(index, "revenue_usd", pc.add(rows["revenue_usd"], 0.00002))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_one_row_less, "rows, and"),
        (_one_row_for_another, "checksums differ"),
        (_one_cent_more, "revenue_usd is wrong"),
        (_not_rounded, "revenue_usd is wrong"),
    ],
)
def test_a_wrong_table_is_refused(source: Input, tmp_path: Path, spoil: object, said: str) -> None:
    target = _written(source, tmp_path / "table")
    file = next(target.glob("*/*.parquet"))
    pq.write_table(spoil(pq.ParquetFile(file).read()), file)  # type: ignore[operator]
    assert said in complaint(look_at(target), expected_rows(source.folder))
