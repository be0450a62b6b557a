"""Loads the project's configs for other places, stops their runs, and reads tables back without raybackfill."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.api import Backfill, Run, load
from raybackfill.control.running.ledger import Ledger
from raybackfill.errors import TransientError
from raybackfill.observe import Silent

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL_UNITS = {"limits.worker_memory": "210MB"}
"""Units of about 1.7 MB decoded, so that there are many of them."""


def backfill(name: str, source: Path, target: Path, overrides: Mapping[str, str] = {}) -> Backfill:
    places = {"source.uri": str(source), "target.uri": str(target)}
    return load(CONFIGS / f"{name}.yaml", set={**places, **overrides})


class StopsAfter(Silent):
    """Asks for a stop once so many outcomes were recorded."""

    def __init__(self, outcomes: int) -> None:
        self._left = outcomes

    def progressed(self, ledger: Ledger, running: int) -> None:
        self._left -= 1

    def asked(self) -> bool:
        return self._left <= 0


def run_with_a_break(made: Backfill, outcomes: int) -> Run:
    """Run it, stop it after some outcomes, look at what it says then, and let `run` go on with it."""
    stops = StopsAfter(outcomes)
    with pytest.raises(TransientError, match="what is staged is kept") as stopped:
        made.run(engine="inline", listener=stops, stop_asked=stops.asked)
    halfway = made.newest_run()
    status = halfway.status()
    assert stopped.value.exit_code == 3
    assert stopped.value.next == f"raybackfill resume {halfway.uri}"
    assert (status["state"], status["units"]["staged"]) == ("stopped", outcomes)
    assert 0 < outcomes < status["units"]["total"]
    assert status["table"]["version"] is None
    run = made.run(engine="inline")
    assert run.id == halfway.id
    assert run.status()["attempts"] == status["units"]["total"], "no unit was worked on twice"
    return run


def contents(target: Path) -> dict[str, pa.Table]:
    """path -> rows, of every file below a table: what is there must be Parquet and nothing else."""
    files = sorted(path for path in target.rglob("*") if path.is_file())
    return {str(path.relative_to(target)): pq.ParquetFile(path).read() for path in files}


def assert_same(one: Mapping[str, pa.Table], other: Mapping[str, pa.Table]) -> None:
    assert list(one) == list(other)
    assert [path for path in one if not one[path].equals(other[path])] == []


def query(sql: str) -> duckdb.DuckDBPyRelation:
    """SQL over files, times in UTC."""
    connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": "false"})
    connection.execute("set TimeZone = 'UTC'")
    return connection.sql(sql)


def scan(target: Path) -> str:
    """A table as DuckDB reads it: folders are columns, all of them texts."""
    return f"read_parquet('{target}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)"
