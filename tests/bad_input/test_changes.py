"""What changes between the plan and its run: noticed before it is used, and nothing is published."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from raybackfill import api
from raybackfill.errors import RaybackfillError, TransientError
from raybackfill.table.view import View
from tests.bad_input.project import CONFIG, Project, day_rows, explained

OBJECT = "raw/dt=2025-01-02/orders.parquet"


def run_plan(project: Project, change: Callable[[], object]) -> api.Run:
    backfill = project.load()
    plan = backfill.plan()
    change()
    return backfill.run(plan, engine="inline")


def stopped_at_once(project: Project) -> api.Run:
    """A run that has done nothing yet."""
    with pytest.raises(TransientError, match="interrupted"):
        project.load().run(engine="inline", stop_asked=lambda: True)
    return project.load().newest_run()


def change_object(project: Project, gone: bool) -> None:
    if gone:
        (project.root / OBJECT).unlink()
    else:
        project.write(OBJECT, day_rows("2025-01-09"))


@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_a_source_object_is_found_before_the_run_begins(project: Project, gone: bool) -> None:
    with pytest.raises(RaybackfillError) as caught:
        run_plan(project, lambda: change_object(project, gone))
    said = f"1 source object {'gone' if gone else 'changed'}: dt=2025-01-02/orders.parquet"
    explained(caught.value, "IntegrityError", 4, said, "changed since the plan", "plan again")
    assert project.load().runs() == []
    assert project.bytes_of_target() == {}


@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_a_source_object_is_found_when_it_is_opened(project: Project, gone: bool) -> None:
    run = stopped_at_once(project)
    change_object(project, gone)
    with pytest.raises(RaybackfillError) as caught:
        run.resume(engine="inline")
    explained(
        caught.value, "IntegrityError", 4, OBJECT, "gone" if gone else "changed since the plan", "plan again"
    )
    assert project.bytes_of_target() == {}
    # As is said: what is there now can be planned and run.
    assert project.load().run(engine="inline", new=True).exit_code == 0
    assert len(project.table()) == (2 if gone else 3)


def test_a_new_source_object_is_left_for_the_next_plan(project: Project) -> None:
    run = run_plan(project, lambda: project.write("raw/dt=2025-01-04/orders.parquet", day_rows("2025-01-04")))
    assert run.exit_code == 0
    assert len(project.table()) == 3


def one_changed(project: Project) -> None:
    project.write(
        "gold/dt=2025-01-02/part-00000.parquet", pa.table({"id": [7], "shop": ["z"], "value": [0.5]})
    )


def one_more(project: Project) -> None:
    project.write("gold/dt=2025-01-02/late.parquet", pa.table({"id": [7], "shop": ["z"], "value": [0.5]}))


def one_gone(project: Project) -> None:
    (project.gold / "dt=2025-01-02/part-00000.parquet").unlink()


@pytest.mark.parametrize("change", [one_changed, one_more, one_gone])
def test_a_file_of_the_target(project: Project, change: Callable[[Project], None]) -> None:
    assert project.run().exit_code == 0
    staged = project.load().run(engine="inline", publish=False)
    change(project)
    found = project.bytes_of_target()
    run = staged.resume(engine="inline")
    assert run.exit_code == 4
    assert run.gate is not None
    assert run.gate.name == "target unchanged"
    assert "dt=2025-01-02/" in run.gate.reason
    assert "plan again" in run.gate.next
    assert project.bytes_of_target() == found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (one_changed, "1 file of the target changed: dt=2025-01-02/part-00000.parquet"),
        (one_more, "1 file of the target new: dt=2025-01-02/late.parquet"),
        (one_gone, "1 file of the target gone: dt=2025-01-02/part-00000.parquet"),
    ],
)
def test_a_file_of_the_target_is_found_before_the_run_begins(
    project: Project, change: Callable[[Project], None], said: str
) -> None:
    assert project.run().exit_code == 0
    with pytest.raises(RaybackfillError) as caught:
        run_plan(project, lambda: change(project))
    explained(caught.value, "IntegrityError", 4, said, "changed since the plan", "plan again")
    assert len(project.load().runs()) == 1


def test_a_small_table_for_joins_is_found_before_the_run_begins(project: Project) -> None:
    project.write("names/a.parquet", pa.table({"shop": ["a", "b"], "name": ["A", "B"]}))
    query = "select input.*, name from input left join names using (shop)"
    config = CONFIG + f'transform: {{sql: "{query}", tables: {{names: {{uri: names}}}}}}\n'
    backfill = project.load(config)
    plan = backfill.plan()
    project.write("names/a.parquet", pa.table({"shop": ["a"], "name": ["A"]}))
    with pytest.raises(RaybackfillError, match=r"1 source object changed: .*names/a\.parquet"):
        backfill.run(plan, engine="inline")


def test_the_job_s_code_is_that_of_the_plan(project: Project) -> None:
    config = CONFIG + 'transform: {python: "jobs.orders:job"}\n'
    project.job("def job(rows: pa.Table): return rows\n")
    backfill = project.load(config)
    plan = backfill.plan()
    project.job("def job(rows: pa.Table): return rows.slice(0, 0)\n")
    assert backfill.run(plan, engine="inline").exit_code == 0
    assert [len(rows) for rows in project.table().values()] == [4, 4, 4]


def test_a_staged_file_that_is_gone_before_the_version_stands(project: Project) -> None:
    backfill = project.load()
    run = backfill.run(engine="inline", publish=False)
    for file in project.root.rglob("*.staged"):
        file.unlink()
    refused = run.resume(engine="inline")
    assert (refused.exit_code, refused.gate and refused.gate.name) == (4, "verified")
    assert refused.gate is not None
    assert ".staged" in refused.gate.reason
    assert project.bytes_of_target() == {}, "no version names files that are not there"
    assert backfill.run(engine="inline", new=True).exit_code == 0
    assert len(project.table()) == 3


def test_files_that_their_owner_removed_later_do_not_stop_the_next_run(project: Project) -> None:
    """Retention removes old days: the version that wrote them is no unfinished publish for that."""
    assert project.run().exit_code == 0
    (project.gold / "dt=2025-01-01/part-00000.parquet").unlink()
    assert project.run(CONFIG + "scope: {start: 2025-01-03, end: 2025-01-04}\n").exit_code == 0
    assert sorted(project.table()) == ["dt=2025-01-02", "dt=2025-01-03"]


def cut_off(monkeypatch: pytest.MonkeyPatch, project: Project) -> api.Run:
    """A run whose version stands, and whose paths were never written."""
    with monkeypatch.context() as patch:
        patch.setattr(View, "bring", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            project.run()
    return project.load().newest_run()


def test_a_publish_that_was_cut_off_is_finished_by_the_next_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another part of the table: what the first one published is there all the same."""
    first = cut_off(monkeypatch, project)
    assert project.table() == {}
    third = CONFIG.replace("orders", "third") + "scope: {start: 2025-01-03, end: 2025-01-04}\n"
    assert project.load(third).run(engine="inline").exit_code == 0
    assert [len(rows) for rows in project.table().values()] == [4, 4, 4]
    found = project.table()
    assert first.resume(engine="inline").exit_code == 0
    assert (first.status()["state"], project.table()) == ("published", found)


def test_a_plan_says_what_a_publish_left_undone_and_changes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(monkeypatch, project)
    before = project.bytes_of_target()
    plan = project.load().plan()
    assert plan.to_json()["target"]["paths_behind"] == 3
    assert project.bytes_of_target() == before
    project.load().newest_run().resume(engine="inline")
    assert project.load().plan().to_json()["target"]["paths_behind"] == 0


def test_a_publish_that_can_never_be_finished_does_not_stop_others(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cut_off(monkeypatch, project)
    for file in project.root.rglob("*.staged"):
        file.unlink()
    with pytest.raises(RaybackfillError) as caught:
        first.resume(engine="inline")
    explained(caught.value, "IntegrityError", 1, ".staged", "--new")
    third = CONFIG.replace("orders", "third") + "scope: {start: 2025-01-03, end: 2025-01-04}\n"
    other = project.load(third).run(engine="inline")
    assert (other.exit_code, other.gate and other.gate.name) == (4, "no unfinished publish")
    assert other.gate is not None
    assert first.id in other.gate.reason
    assert project.load().run(engine="inline", new=True).exit_code == 0
    assert [len(rows) for rows in project.table().values()] == [4, 4, 4]
