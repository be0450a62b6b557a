"""Units that fail in a whole run: tried again, divided, set aside, backed by others, or too many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from raybackfill import worker
from raybackfill.api import Run
from raybackfill.checkpoint import recorder
from raybackfill.control.planning import units
from raybackfill.control.running import retry
from raybackfill.engines import Task
from raybackfill.errors import (
    OUT_OF_MEMORY,
    WORKER_LOST,
    IntegrityError,
    RaybackfillError,
    TransientError,
    UnitError,
)
from raybackfill.storage.memory import MemoryStore
from tests.stores import backfill, rows_of, this_process, write_parquet

CONFIG = """
name: orders
source: {uri: /lake/raw, path: "dt={dt:%Y-%m-%d}/*"}
target: {uri: /lake/gold/orders, partition_by: [dt]}
"""
DAYS = [f"2025-01-{day:02d}" for day in range(1, 9)]
WRONG = UnitError("the data is wrong", where="some/object")
LOST = TransientError("a worker was lost", fault=WORKER_LOST)
STARVED = TransientError("no memory", fault=OUT_OF_MEMORY)


class Script:
    """What each unit of the plan does before it does as it should: errors by its number, in turn."""

    def __init__(self, errors: dict[int, list[RaybackfillError]]) -> None:
        self.errors = errors
        self.worked: list[int] = []
        self._really = worker.UnitWork.__call__

    def __call__(self, work: worker.UnitWork, task: Task) -> Any:
        if self.errors.get(task.unit.index):
            raise self.errors[task.unit.index].pop(0)
        self.worked.append(task.unit.index)
        return self._really(work, task)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryStore]:
    """Eight days of two objects, a unit each; nothing waits between attempts."""
    monkeypatch.setattr(units, "UNIT_BYTES_SMALL", 1600)
    monkeypatch.setattr(retry, "BACKOFF_SECONDS", 0.0)
    monkeypatch.setattr(recorder, "COMMIT_SECONDS", 0.0)
    made = MemoryStore()
    for number, day in enumerate(DAYS):
        for part in (0, 50):
            table = pa.table({"id": range(number * 100 + part, number * 100 + part + 50)})
            write_parquet(made, f"/lake/raw/dt={day}/f{part}.parquet", table, row_group_size=25)
    with this_process(made):
        yield made


def scripted(monkeypatch: pytest.MonkeyPatch, errors: dict[int, list[RaybackfillError]]) -> Script:
    script = Script(errors)
    monkeypatch.setattr(worker.UnitWork, "__call__", lambda work, task: script(work, task))
    return script


def run(more: str = "") -> Run:
    return backfill(CONFIG + more).run(engine="inline", as_of="2025-02-01")


def ids(store: MemoryStore) -> list[int]:
    return sorted(row["id"] for rows in rows_of(store, "/lake/gold/orders/").values() for row in rows)


def test_units_that_fail_for_a_time_are_tried_again(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, {0: [WRONG] * 3, 3: [LOST], 5: [TransientError("503"), WRONG]})
    status = run().status()
    assert (status["state"], status["attempts"], status["retries"]) == ("published", 8 + 6, 6)
    assert status["errors"] == []
    assert ids(store) == list(range(800))


def test_a_unit_that_never_works_is_set_aside_and_the_others_are_staged(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = scripted(monkeypatch, {2: [WRONG] * 4})
    with pytest.raises(UnitError, match="1 of 8 units failed for good, the others are staged") as caught:
        run()
    assert caught.value.exit_code == 3
    assert "some/object: the data is wrong" in caught.value.message
    assert "--retry-failed" in caught.value.next
    assert ids(store) == []
    asked = backfill(CONFIG).newest_run()
    status = asked.status()
    assert (status["state"], status["exit_code"]) == ("stopped", 3)
    assert (status["units"]["staged"], status["units"]["failed"], status["units"]["set_aside"]) == (7, 1, 1)
    (error,) = status["errors"]
    assert (error["kind"], error["attempts"], error["set_aside"]) == ("UnitError", 4, True)
    # It stays aside until somebody asks for it, and what is staged is not done again.
    script.worked.clear()
    with pytest.raises(UnitError, match="1 of 8 units failed for good"):
        asked.resume(engine="inline")
    assert script.worked == []
    ended = asked.resume(engine="inline", retry_failed=True)
    assert (ended.exit_code, script.worked) == (0, [2])
    assert ids(store) == list(range(800))


def test_attempts_and_breaker_are_the_configs(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    script = scripted(monkeypatch, {number: [WRONG] * 2 for number in range(8)})
    with pytest.raises(UnitError, match=r"5 of 8 units failed for good, more than retries.breaker") as caught:
        run("retries: {attempts: 2, breaker: 50%}\n")
    assert caught.value.exit_code == 3
    assert script.worked == []
    script.errors.clear()
    assert backfill(CONFIG).newest_run().resume(engine="inline", retry_failed=True).exit_code == 0
    assert ids(store) == list(range(800))


def test_without_a_word_the_breaker_needs_three_units(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = scripted(monkeypatch, {number: [WRONG] * 4 for number in (1, 3, 5)})
    with pytest.raises(UnitError, match="3 of 8 units failed for good, more than"):
        run()
    assert 7 not in script.worked


@pytest.mark.parametrize("errors", [[STARVED], [LOST, LOST]], ids=["out_of_memory", "lost_twice"])
def test_a_unit_that_is_too_large_is_divided_and_its_rows_are_there_once(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, errors: list[RaybackfillError]
) -> None:
    scripted(monkeypatch, {4: list(errors)})
    ended = run()
    status = ended.status()
    assert status["units"]["total"] == status["units"]["published"] == 9
    assert status["partitions"]["published"] == 8
    assert status["rows"]["out"] == 800
    assert ids(store) == list(range(800))


def test_a_unit_is_divided_down_to_row_groups_and_no_further(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two objects of two row groups each: three divisions, and then it is tried again as it is.
    scripted(monkeypatch, {4: [STARVED] * 6})
    status = run().status()
    assert status["units"]["total"] == 8 + 3
    assert ids(store) == list(range(800))


def _refuses_torn(really: Any) -> Any:
    """Works as ever, on units that hold both objects of each of their days."""

    def call(work: worker.UnitWork, task: Task) -> Any:
        days = [piece.key.split("/")[3] for piece in task.unit.pieces]
        assert all(days.count(day) == 2 for day in days)
        return really(work, task)

    return call


def test_a_partition_is_never_torn_apart(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "UNIT_BYTES_SMALL", 3000)
    whole = "transform: {per: partition}\n"
    planned = backfill(CONFIG + whole).plan("2025-02-01").to_json()["units"]["count"]
    monkeypatch.setattr(worker.UnitWork, "__call__", _refuses_torn(worker.UnitWork.__call__))
    scripted(monkeypatch, {0: [STARVED] * 2})
    status = run(whole).status()
    assert status["units"]["total"] > planned
    assert status["rows"]["out"] == 800
    assert ids(store) == list(range(800))


def test_an_error_of_the_whole_run_stops_it_at_once(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = IntegrityError("an object changed since the plan", where="some/object", exit_code=4)
    script = scripted(monkeypatch, {3: [changed]})
    with pytest.raises(IntegrityError, match="changed since the plan") as caught:
        run()
    assert caught.value.exit_code == 4
    assert script.worked == [0, 1, 2]
    assert backfill(CONFIG).newest_run().status()["state"] == "stopped"
