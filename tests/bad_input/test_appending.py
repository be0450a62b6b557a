"""mode: append: rows are added beside what is there, once a run, whatever others do meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from raybackfill.errors import SpecError, TransientError
from raybackfill.table.view import View
from tests.bad_input.project import CONFIG, Project, day_rows

APPEND = CONFIG.replace("[dt]", "[dt], mode: append, allow_duplicates: true")


@pytest.fixture
def project(project: Project) -> Project:
    """The table has one of the three days, written by others."""
    project.write("gold/dt=2025-01-02/by-others.parquet", day_rows("2025-01-05"))
    return project


def ids(project: Project) -> dict[str, list[int]]:
    return {folder: sorted(row["id"] for row in rows) for folder, rows in project.table().items()}


def files(project: Project) -> list[str]:
    return sorted(str(path.relative_to(project.gold)) for path in project.gold.rglob("*.parquet"))


def day(start: int) -> list[int]:
    return list(range(start, start + 4))


EXPECTED = {"dt=2025-01-01": day(10), "dt=2025-01-02": day(20) + day(50), "dt=2025-01-03": day(30)}


def test_rows_are_added_and_nothing_is_touched(project: Project) -> None:
    others = (project.gold / "dt=2025-01-02/by-others.parquet").read_bytes()
    backfill = project.load(APPEND)
    target = backfill.plan().to_json()["target"]
    assert (target["partitions_new"], target["partitions_appended"]) == (2, 1)
    assert (target["files_replaced"], target["partitions_replaced"]) == (0, 0)
    run = backfill.run(engine="inline")
    assert run.exit_code == 0
    assert ids(project) == EXPECTED
    assert (project.gold / "dt=2025-01-02/by-others.parquet").read_bytes() == others
    unit = run._opened.plan.units_table["unit"][0].as_py()
    name = f"part-{run.id}-{unit}-00000.parquet"
    assert files(project) == [
        f"dt=2025-01-01/{name}",
        "dt=2025-01-02/by-others.parquet",
        f"dt=2025-01-02/{name.replace('-00000.', '-00001.')}",
        f"dt=2025-01-03/{name.replace('-00000.', '-00002.')}",
    ]


def test_another_run_adds_them_once_more(project: Project) -> None:
    for _ in range(2):
        assert project.run(APPEND).exit_code == 0
    assert ids(project)["dt=2025-01-01"] == sorted(day(10) * 2)
    assert len(files(project)) == 7


def test_two_runs_that_were_staged_side_by_side_both_add_theirs(project: Project) -> None:
    backfill = project.load(APPEND)
    # Of one plan: only their names tell their files apart.
    staged = [backfill.run(engine="inline", publish=False, new=True, as_of="2025-02-01") for _ in range(2)]
    for run in reversed(staged):
        assert run.publish(engine="inline").exit_code == 0
        assert run.publish(engine="inline").exit_code == 0, "what is published is published"
    assert ids(project)["dt=2025-01-03"] == sorted(day(30) * 2)


def test_what_others_write_meanwhile_stays_and_stops_nothing(project: Project) -> None:
    run = project.load(APPEND).run(engine="inline", publish=False)
    project.write("gold/dt=2025-01-01/late.parquet", day_rows("2025-01-07"))
    (project.gold / "dt=2025-01-02/by-others.parquet").unlink()
    assert run.publish(engine="inline").exit_code == 0
    assert ids(project) == {**EXPECTED, "dt=2025-01-01": day(10) + day(70), "dt=2025-01-02": day(20)}


def test_a_plan_of_an_append_holds_whatever_the_table_does(project: Project) -> None:
    backfill = project.load(APPEND)
    plan = backfill.plan()
    project.write("gold/dt=2025-01-01/late.parquet", day_rows("2025-01-07"))
    assert backfill.run(plan, engine="inline").exit_code == 0


def test_a_publish_that_was_cut_off_adds_its_rows_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(View, "bring", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            project.run(APPEND)
    run = project.load(APPEND).newest_run()
    project.write("gold/dt=2025-01-01/late.parquet", day_rows("2025-01-07"))
    assert run.resume(engine="inline").exit_code == 0
    assert ids(project) == {**EXPECTED, "dt=2025-01-01": day(10) + day(70)}


def test_a_damaged_file_is_made_again_under_its_own_name(project: Project) -> None:
    run = project.run(APPEND)
    before = files(project)
    damaged = project.gold / before[0]
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"XXXX")
    assert run.verify(engine="inline")["result"] == "failed"
    assert run.verify(engine="inline", repair=True)["result"] == "passed"
    assert (ids(project), files(project)) == (EXPECTED, before)


def test_a_replace_afterwards_replaces_what_was_added(project: Project) -> None:
    assert project.run(APPEND).exit_code == 0
    assert project.load(CONFIG + "shrink: 100%\n").run(engine="inline").exit_code == 0
    assert {folder: len(rows) for folder, rows in project.table().items()} == dict.fromkeys(EXPECTED, 4)


def test_the_scope_says_what_is_read_and_need_not_be_in_the_output(project: Project) -> None:
    config = APPEND.replace("partition_by: [dt], ", "") + (
        'scope: {start: 2025-01-02, end: 2025-01-03}\ntransform: {sql: "select id, shop, value from input"}\n'
    )
    table = project.root / "flat"
    assert project.load(config, **{"target.uri": str(table)}).run(engine="inline").exit_code == 0
    flat = Project.table(_at(project, table))
    assert [row["id"] for row in flat["."]] == day(20)


def _at(project: Project, gold: Path) -> Project:
    project.gold = gold
    return project


def test_new_columns_must_fit_what_is_there(project: Project) -> None:
    config = APPEND + "transform: {sql: \"select id::varchar || 'x' as id, shop, value, dt from input\"}\n"
    plan = project.load(config).plan().to_json()
    assert plan["target"]["differences"] == [{"column": "id", "live": "int64", "output": "string"}]


def test_the_source_is_not_added_to_itself(project: Project) -> None:
    with pytest.raises(SpecError, match="append to the source itself"):
        project.load(APPEND.replace("uri: raw", "uri: gold"))


def test_an_append_that_was_stopped_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raybackfill.control.planning.units.UNIT_BYTES_SMALL", 1)
    looks = iter((False, True))
    with pytest.raises(TransientError, match="interrupted"):
        project.load(APPEND).run(engine="inline", stop_asked=lambda: next(looks, True))
    assert project.load(APPEND).newest_run().resume(engine="inline").exit_code == 0
    assert ids(project) == EXPECTED


def test_what_was_added_can_be_taken_back(project: Project) -> None:
    run = project.run(APPEND)
    late = project.write("gold/dt=2025-01-01/late.parquet", day_rows("2025-01-07"))
    assert run.rollback().exit_code == 0
    rows = {folder: found for folder, found in ids(project).items() if found}
    assert rows == {"dt=2025-01-01": day(70), "dt=2025-01-02": day(50)}
    assert late.exists()
    assert project.run(APPEND).exit_code == 0
    assert ids(project) == {**EXPECTED, "dt=2025-01-01": day(10) + day(70)}
