"""P1: a crash at any call of the store, before or after its effect, ends after resume in the same table."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from raybackfill.control.planning import units
from raybackfill.errors import TransientError
from raybackfill.storage.memory import MemoryStore
from tests.stores import CHANGES, Crashed, CrashingStore, backfill, rows_of, this_process, write_parquet

DAYS = ("2025-01-01", "2025-01-02", "2025-01-03")
PLAIN = """
name: orders
source: {uri: /lake/raw, path: "dt={dt:%Y-%m-%d}/*"}
target: {uri: /lake/gold/orders, partition_by: [dt]}
scope: {start: 2025-01-01, end: 2025-01-03}
"""
PARTIAL = """
name: orders
source: {uri: /lake/raw, path: "dt={dt:%Y-%m-%d}/*"}
target: {uri: /lake/gold/orders, partition_by: [dt]}
scope: {include: {shop: [a]}}
transform: {sql: "select id, shop, value * 2 as value, dt from input"}
"""
IN_PLACE = """
name: repair
source: {uri: /lake/gold/orders, path: "dt={dt:%Y-%m-%d}/*"}
target: {uri: /lake/gold/orders, partition_by: [dt]}
transform: {sql: "select id, shop, value + 1000 as value, dt from input"}
"""


@pytest.fixture(autouse=True)
def _small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object is a unit of its own, so that a run has several to lose and to find again."""
    monkeypatch.setattr(units, "UNIT_BYTES_SMALL", 1)


def rows(day: str, offset: int) -> pa.Table:
    start = int(day[-2:]) * 100 + offset
    return pa.table({"id": range(start, start + 4), "shop": ["a", "b", "a", "c"], "value": [start] * 4})


def lake() -> MemoryStore:
    """Three days of two files, and a table that lacks one day and holds others from before, one of
    them in more files than it will have, under names that are not ours."""
    store = MemoryStore()
    for day in DAYS:
        for part in (0, 50):
            write_parquet(store, f"/lake/raw/dt={day}/f{part}.parquet", rows(day, part))
    for name in ("part-00000", "part-00001", "written-by-spark"):
        write_parquet(store, f"/lake/gold/orders/dt=2025-01-01/{name}.parquet", rows(DAYS[0], 70))
    write_parquet(store, "/lake/gold/orders/dt=2025-01-03/part-00000.parquet", rows(DAYS[2], 70))
    return store


def drive(store: Any, config: str) -> None:
    """Begin the run, or go on with it, as an operator does who knows of no run or of one."""
    with this_process(store):
        asked = backfill(config)
        runs = asked.runs()
        ended = runs[0].resume(engine="inline") if runs else asked.run(engine="inline", as_of="2025-02-01")
        assert ended.exit_code == 0


def calls_of(config: str) -> tuple[list[str], dict[str, list[dict[str, Any]]]]:
    store = lake()
    counting = CrashingStore(store)
    drive(counting, config)
    return counting.calls, rows_of(store, "/lake/gold/orders/")


@pytest.mark.parametrize("config", [PLAIN, PARTIAL, IN_PLACE], ids=["plain", "partial", "in_place"])
def test_a_crash_at_every_call_ends_in_the_same_table(config: str) -> None:
    calls, expected = calls_of(config)
    assert len(calls) > 50
    # Every change, before and after its effect; every read, or every third where there are many units.
    step = 3 if len(calls) > 150 else 1
    places = [(at, False) for at, verb in enumerate(calls, 1) if verb in CHANGES or at % step == 0]
    places += [(at, True) for at, verb in enumerate(calls, 1) if verb in CHANGES]
    for at, after in places:
        store = lake()
        try:
            drive(CrashingStore(store, at, after=after), config)
        except Crashed:
            drive(store, config)
        assert rows_of(store, "/lake/gold/orders/") == expected, (at, calls[at - 1], after)


@pytest.mark.parametrize("second", [3, 30, 60])
def test_two_crashes_in_a_row_end_in_the_same_table(second: int) -> None:
    calls, expected = calls_of(PARTIAL)
    for at in range(5, len(calls), 7):
        store = lake()
        for place in (at, second):
            try:
                drive(CrashingStore(store, place), PARTIAL)
            except Crashed:
                continue
        drive(store, PARTIAL)
        assert rows_of(store, "/lake/gold/orders/") == expected, at


def test_rows_out_of_scope_are_kept_and_others_replaced() -> None:
    store = lake()
    drive(store, PARTIAL)
    found = rows_of(store, "/lake/gold/orders/")
    new = [row for path, rows in found.items() if "2025-01-01" in path for row in rows if row["shop"] == "a"]
    assert sorted(row["id"] for row in new) == [100, 102, 150, 152]
    assert all(row["value"] in (200, 300) for row in new)
    kept = [row for path, rows in found.items() if "2025-01-01" in path for row in rows if row["shop"] != "a"]
    assert sorted(row["id"] for row in kept) == sorted([171, 173] * 3)
    assert not [path for path in found if "spark" in path]


def test_nothing_of_ours_lies_under_the_target_and_what_was_replaced_is_kept() -> None:
    store = lake()
    drive(store, PLAIN)
    keys = store.page("/").objects["key"].to_pylist()
    assert [key for key in keys if key.startswith("/lake/gold/orders/")] == [
        "/lake/gold/orders/dt=2025-01-01/part-00000.parquet",
        "/lake/gold/orders/dt=2025-01-01/part-00001.parquet",
        "/lake/gold/orders/dt=2025-01-02/part-00000.parquet",
        "/lake/gold/orders/dt=2025-01-02/part-00001.parquet",
        "/lake/gold/orders/dt=2025-01-03/part-00000.parquet",
    ]
    kept = [key for key in keys if "/previous/" in key]
    assert sorted(key.rsplit("/", 1)[1] for key in kept) == [
        "part-00000.parquet.previous",
        "part-00001.parquet.previous",
        "written-by-spark.parquet.previous",
    ]
    version = json.loads(
        store.read("/lake/gold/_raybackfill/tables/orders/versions/0000000001.json").to_pybytes()
    )
    assert len(version["files"]) == 5
    assert len(version["retired"]) == 3


def test_status_follows_units_and_partitions() -> None:
    """Three units of a partition each: after two of them, the third waits; then all are published."""
    store = lake()
    config = PLAIN.replace("scope: {start: 2025-01-01, end: 2025-01-03}", "transform: {per: partition}")
    calls = [0]

    def after_two() -> bool:
        calls[0] += 1
        return calls[0] > 2

    with this_process(store):
        asked = backfill(config)
        with pytest.raises(TransientError, match="interrupted"):
            asked.run(engine="inline", stop_asked=after_two)
        stopped = asked.newest_run()
        status = stopped.status()
        assert status["state"] == "stopped"
        assert status["exit_code"] == 3
        assert status["partitions"] == {"total": 3, "waiting": 1, "staged": 2, "published": 0, "failed": 0}
        done = stopped.resume(engine="inline").status()
    assert done["partitions"] == {"total": 3, "waiting": 0, "staged": 0, "published": 3, "failed": 0}
    assert done["rows"]["out"] == 24
    assert done["files"] == {"staged": 3, "published": 3}
