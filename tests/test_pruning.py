"""A scope over a column of the files reads only the row groups that can hold rows in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raybackfill.errors import SpecError
from raybackfill.storage.memory import MemoryStore
from tests.stores import backfill, rows_of, this_process, write_parquet

START = datetime(2025, 1, 1, tzinfo=UTC)
CONFIG = """
name: events
source: {uri: /lake/raw}
target: {uri: /lake/gold/events, partition_by: {day: "{ts:%Y-%m-%d}"}}
scope: {start: 2025-01-03, end: 2025-01-05, column: ts}
"""


def lake(unit: str = "us") -> MemoryStore:
    """Two files of a hundred hours, in row groups of ten; and one whose hours are in no order."""
    store = MemoryStore()
    hours = [START + timedelta(hours=n) for n in range(100)]
    for name, times in (("a", hours), ("b", hours), ("mixed", hours[::7] + hours[::3])):
        table = pa.table({"ts": pa.array(times, pa.timestamp(unit, "UTC")), "n": range(len(times))})
        write_parquet(store, f"/lake/raw/{name}.parquet", table, row_group_size=10)
    return store


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_row_groups_without_rows_in_scope_are_not_read(unit: str) -> None:
    store = lake(unit)
    with this_process(store):
        plan = backfill(CONFIG).plan(as_of="2025-02-01")
        run = backfill(CONFIG).run(plan, engine="inline")
    groups = {piece.key: piece.row_groups for unit in plan.units() for piece in unit.pieces}
    assert groups["/lake/raw/a.parquet"] == (4, 5, 6, 7, 8, 9)
    rows = run.status()["rows"]
    in_scope = 48 * 2 + len([n for n in [*range(0, 100, 7), *range(0, 100, 3)] if 48 <= n < 96])
    assert rows["out"] == in_scope
    assert rows["read"] < 230
    found = rows_of(store, "/lake/gold/events/")
    assert sorted(found) == ["day=2025-01-03/part-00000.parquet", "day=2025-01-04/part-00000.parquet"]
    assert sum(len(r) for r in found.values()) == in_scope


def test_a_scope_that_no_row_group_can_meet_is_empty() -> None:
    config = CONFIG.replace("2025-01-03", "2026-01-03").replace("2025-01-05", "2026-01-05")
    with this_process(lake()), pytest.raises(SpecError, match="the scope is empty"):
        backfill(config).plan()


def test_the_bounds_are_half_open_to_the_microsecond() -> None:
    store = MemoryStore()
    day = datetime(2025, 1, 3, tzinfo=UTC)
    times = [
        day - timedelta(microseconds=1),
        day,
        day + timedelta(days=2) - timedelta(microseconds=1),
        day + timedelta(days=2),
    ]
    for number, time in enumerate(times):
        write_parquet(
            store,
            f"/lake/raw/{number}.parquet",
            pa.table({"ts": pa.array([time], pa.timestamp("us", "UTC"))}),
        )
    with this_process(store):
        run = backfill(CONFIG).run(engine="inline")
    assert run.status()["rows"]["out"] == 2
    kept = [row["ts"] for rows in rows_of(store, "/lake/gold/events/").values() for row in rows]
    assert sorted(kept) == times[1:3]
    assert pc.count(pa.array(kept)).as_py() == 2
