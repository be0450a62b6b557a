"""--replan-changed: what changed since the plan is planned again, and all else that was done is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from raybackfill import api
from raybackfill.control.planning import units
from raybackfill.errors import RaybackfillError, TransientError
from raybackfill.observe import Silent
from raybackfill.table.view import View
from tests.bad_input.project import CONFIG, Project, day_rows, explained

OBJECT = "raw/dt=2025-01-02/orders.parquet"
PER_PARTITION = CONFIG + (
    'transform: {per: partition, sql: "select count(*) as id, max(shop) as shop, sum(value) as value, dt '
    'from input group by dt"}\n'
)


@pytest.fixture(autouse=True)
def one_object_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "UNIT_BYTES_SMALL", 1)


class Hears(Silent):
    """What is said, and what happens when it is."""

    def __init__(self, act: Callable[[str], object] = lambda text: None) -> None:
        self.said: list[str] = []
        self._act = act

    def say(self, text: str) -> None:
        self.said.append(text)
        self._act(text)


def resumed(run: api.Run, listener: Hears | None = None) -> api.Run:
    return run.resume(engine="inline", replan_changed=True, listener=listener or Hears())


def stopped(project: Project, config: str = CONFIG, after: int = 1) -> api.Run:
    """A run of which so many units are staged."""
    looks = iter([False] * after)
    with pytest.raises(TransientError, match="interrupted"):
        project.load(config).run(engine="inline", stop_asked=lambda: next(looks, True))
    run = project.load(config).newest_run()
    assert run.status()["units"]["staged"] == after
    return run


def ids(project: Project) -> dict[str, list[int]]:
    return {folder: sorted(row["id"] for row in rows) for folder, rows in project.table().items()}


def days(*starts: int) -> dict[str, list[int]]:
    """Folder -> IDs, by the number that each day's IDs begin with."""
    return {
        f"dt=2025-01-{at:02d}": list(range(start, start + 4)) for at, start in enumerate(starts, 1) if start
    }


def change(project: Project) -> None:
    project.write(OBJECT, day_rows("2025-01-09"))


def test_an_object_that_changed_stops_the_run_and_the_choices_are_named(project: Project) -> None:
    run = stopped(project)
    change(project)
    with pytest.raises(RaybackfillError) as caught:
        run.resume(engine="inline")
    explained(caught.value, "IntegrityError", 4, OBJECT, "changed since the plan")
    assert caught.value.next == (
        f"plan again what changed: raybackfill resume {run.uri} --replan-changed; "
        "or all of it anew: raybackfill run CONFIG --new"
    )
    heard = Hears()
    done = resumed(run, heard)
    status = done.status()
    assert (done.exit_code, status["state"]) == (0, "published")
    assert ids(project) == days(10, 90, 30)
    assert status["rows"]["read"] == status["rows"]["out"] == 12
    assert (status["replans"], status["units"]["total"]) == (1, 3)
    assert status["plan_id"] == done.plan.id != run.plan.id
    assert any("1 source object changed: dt=2025-01-02/orders.parquet" in text for text in heard.said)
    # Anybody who opens it finds the plan that it goes on under.
    assert api.open_run(run.uri).plan.id == done.plan.id


def decided(run: api.Run) -> dict[str, str]:
    return dict(run._opened.checkpoint().ledger.decided)


@pytest.mark.parametrize(
    ("act", "expected", "again"),
    [
        (change, days(10, 90, 30), 1),
        (lambda project: (project.root / OBJECT).unlink(), days(10, 0, 30), 0),
        (lambda p: p.write("raw/dt=2025-01-04/a.parquet", day_rows("2025-01-04")), days(10, 20, 30, 40), 1),
    ],
    ids=["changed", "gone", "new"],
)
def test_what_is_staged_is_kept_but_for_what_changed(
    project: Project, act: Callable[[Project], object], expected: dict[str, Any], again: int
) -> None:
    run = project.load().run(engine="inline", publish=False)
    before = decided(run)
    act(project)
    done = resumed(run)
    assert done.exit_code == 0
    assert ids(project) == expected
    status = done.status()
    assert status["attempts"] == 3 + again
    kept = {unit: attempt for unit, attempt in decided(done).items() if before.get(unit) == attempt}
    assert len(kept) == (3 if again and len(expected) == 4 else 2)
    rows = 4 * len(expected)
    assert (status["rows"]["read"], status["rows"]["out"]) == (rows, rows)
    assert status["units"]["published"] == status["units"]["total"] == len(expected)
    assert status["files"] == {"staged": len(expected), "published": len(expected)}


def test_a_partition_is_planned_again_with_all_of_its_objects(project: Project) -> None:
    run = project.load(PER_PARTITION).run(engine="inline", publish=False)
    project.write("raw/dt=2025-01-02/late.parquet", day_rows("2025-01-09"))
    done = resumed(run)
    assert done.status()["attempts"] == 4
    assert ids(project) == {f"dt=2025-01-{day:02d}": [count] for day, count in ((1, 4), (2, 8), (3, 4))}


def test_columns_that_changed_are_every_unit_s(project: Project) -> None:
    run = project.load().run(engine="inline", publish=False)
    project.write(OBJECT, day_rows("2025-01-02").append_column("note", pa.array(["x"] * 4)))
    done = resumed(run)
    assert done.exit_code == 0
    assert done.status()["attempts"] == 6
    assert {tuple(row) for rows in project.table().values() for row in rows} == {
        ("id", "shop", "value", "note")
    }


def test_a_unit_that_failed_for_good_is_tried_under_the_new_plan(project: Project) -> None:
    project.write(OBJECT, day_rows("2025-01-02").set_column(0, "id", pa.array([20, None, 22, 23])))
    project.job("def job(rows: pa.Table):\n    assert not rows['id'].null_count\n    return rows\n")
    config = CONFIG + 'transform: {python: "jobs.orders:job", per: partition}\nretries: {attempts: 1}\n'
    with pytest.raises(RaybackfillError, match="failed for good"):
        project.load(config).run(engine="inline")
    run = project.load(config).newest_run()
    assert run.status()["units"]["set_aside"] == 1
    project.write(OBJECT, day_rows("2025-01-02"))
    done = resumed(run)
    assert (done.exit_code, done.status()["units"]["failed"]) == (0, 0)
    assert ids(project) == days(10, 20, 30)


def late(project: Project, name: str = "late") -> None:
    project.write(f"gold/dt=2025-01-02/{name}.parquet", pa.table({"id": [7], "shop": ["z"], "value": [0.5]}))


def test_partitions_that_others_changed_are_planned_again(project: Project) -> None:
    """Of shop z nothing is in scope: what came meanwhile is carried over."""
    assert project.run().exit_code == 0
    config = CONFIG + "scope: {exclude: {shop: [z]}}\n"
    run = project.load(config).run(engine="inline", publish=False)
    assert run.status()["attempts"] == 6, "three days, and what is carried over of each"
    late(project)
    refused = run.resume(engine="inline")
    assert refused.gate is not None
    assert refused.gate.name == "target unchanged"
    assert f"raybackfill resume {run.uri} --replan-changed" in refused.gate.next
    done = resumed(run)
    assert done.exit_code == 0
    assert ids(project) == {**days(10, 20, 30), "dt=2025-01-02": [7, 20, 21, 22, 23]}
    assert done.status()["attempts"] == 7
    assert done.status()["table"]["version"] == 2


def test_a_table_that_keeps_changing_is_planned_again_a_few_times(project: Project) -> None:
    assert project.run().exit_code == 0
    run = project.load().run(engine="inline", publish=False)
    count = 0

    def somebody_writes(text: str) -> None:
        nonlocal count
        if text == "publishing":
            count += 1
            late(project, f"late{count}")

    heard = Hears(somebody_writes)
    refused = resumed(run, heard)
    assert (refused.exit_code, count) == (4, 3)
    assert sum(text.startswith("planned again") for text in heard.said) == 2
    assert resumed(run).exit_code == 0
    assert ids(project) == days(10, 20, 30)


def test_one_change_while_it_publishes_is_taken_in(project: Project) -> None:
    assert project.run().exit_code == 0
    run = project.load().run(engine="inline", publish=False)
    writes = iter((True,))
    heard = Hears(lambda text: late(project) if text == "publishing" and next(writes, False) else None)
    assert resumed(run, heard).exit_code == 0
    assert ids(project) == days(10, 20, 30)


def test_nothing_is_planned_again_once_the_version_stands(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(View, "bring", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            project.run()
    run = project.load().newest_run()
    change(project)
    done = resumed(run)
    assert (done.exit_code, done.plan.id, done.status()["replans"]) == (0, run.plan.id, 0)
    assert ids(project) == days(10, 20, 30)


def test_where_nothing_changed_it_is_a_resume(project: Project) -> None:
    run = stopped(project)
    done = resumed(run)
    assert (done.exit_code, done.plan.id, done.status()["replans"]) == (0, run.plan.id, 0)
    assert done.status()["attempts"] == 3


def test_a_run_is_planned_again_as_often_as_it_changes(project: Project) -> None:
    run = stopped(project)
    plans = {run.plan.id}
    for start in (5, 6, 7):
        project.write(OBJECT, day_rows(f"2025-01-{start:02d}"))
        looks = iter((False,))
        with pytest.raises(TransientError, match="interrupted"):
            run.resume(engine="inline", replan_changed=True, stop_asked=lambda looks=looks: next(looks, True))
        run = api.open_run(run.uri)
        plans.add(run.plan.id)
    assert len(plans) == 4
    assert resumed(run).exit_code == 0
    assert ids(project) == days(10, 70, 30)


def test_a_run_that_was_planned_again_can_be_taken_back(project: Project) -> None:
    assert project.run().exit_code == 0
    before = ids(project)
    run = project.load().run(engine="inline", publish=False)
    change(project)
    done = resumed(run)
    assert ids(project) == days(10, 90, 30)
    assert done.verify(engine="inline")["result"] == "passed"
    assert done.rollback().exit_code == 0
    assert {folder: found for folder, found in ids(project).items() if found} == before
