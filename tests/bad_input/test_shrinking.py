"""A partition that would lose most of its rows is refused at publish, and the table stays as it was."""

from __future__ import annotations

import pytest

from raybackfill import api
from tests.bad_input.project import CONFIG, Project, day_rows

DAY = "dt=2025-01-02"
FEW = CONFIG + "transform: {sql: \"select * from input where shop = 'c'\"}\n"


@pytest.fixture
def project(project: Project) -> Project:
    """The table has what the source has: four rows a day."""
    assert project.run().exit_code == 0
    return project


def test_it_is_refused_with_both_counts_and_published_when_that_is_wanted(project: Project) -> None:
    before = project.bytes_of_target()
    run = project.run(FEW)
    assert (run.exit_code, run.status()["state"]) == (4, "stopped")
    assert run.gate is not None
    assert run.gate.name == "no partition shrinks"
    assert "3 partitions would lose more than 50%" in run.gate.reason
    assert f"{DAY} 4 -> 1" in run.gate.reason
    assert "shrink: 100%" in run.gate.next
    assert project.bytes_of_target() == before
    again = run.resume(engine="inline")
    assert again.exit_code == 4, "asking again changes nothing"
    for share, exit_code in (("74%", 4), ("75%", 0)):
        wanted = project.load(FEW + f"shrink: {share}\n")
        assert wanted.run(engine="inline", new=True).exit_code == exit_code
    assert [len(rows) for rows in project.table().values()] == [1, 1, 1]


def test_rows_that_are_carried_over_are_kept(project: Project) -> None:
    """Of three of a day's four rows one is left, and the fourth is not in scope."""
    config = FEW.replace("shop = 'c'", "id % 10 = 0")
    scoped = config + "scope: {include: {shop: [a, b]}}\n"
    assert project.run(scoped).exit_code == 0
    assert [len(rows) for rows in project.table().values()] == [2, 2, 2]
    narrower = config + "scope: {exclude: {shop: [none]}}\n"
    refused = project.load(narrower + "shrink: 10%\n").run(engine="inline", new=True)
    assert refused.gate is not None
    assert f"{DAY} 2 -> 1" in refused.gate.reason


def test_files_of_others_are_counted_by_their_footers(project: Project) -> None:
    for name in ("one", "two"):
        project.write(f"gold/{DAY}/{name}.parquet", day_rows("2025-01-09"))
    run = project.run()
    assert run.gate is not None
    assert run.gate.reason.endswith(f"{DAY} 12 -> 4")


def test_a_broken_file_that_is_replaced_stops_nothing(project: Project) -> None:
    """To mend a table is what all this is for."""
    project.text(f"gold/{DAY}/late.parquet", "PAR1 and then the disk was full")
    plan = project.load().plan()
    counted = dict(zip(*(plan.target_files[name].to_pylist() for name in ("path", "rows")), strict=True))
    assert counted[f"{DAY}/late.parquet"] is None
    assert counted[f"{DAY}/part-00000.parquet"] == 4
    assert project.run().exit_code == 0
    assert [len(rows) for rows in project.table().values()] == [4, 4, 4]


def test_the_versions_know_what_runs_wrote(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table of ours no footer is read again, but for the first, whose columns are shown."""
    looks: list[str] = []
    really = api.PlanningParts.target_reader

    def counted(parts: api.PlanningParts) -> object:
        looks.append("look")
        return really(parts)

    monkeypatch.setattr(api.PlanningParts, "target_reader", counted)
    plan = project.load().plan()
    assert plan.to_json()["target"]["rows_replaced"] == 12
    assert len(looks) == 1
    project.write(f"gold/{DAY}/late.parquet", day_rows("2025-01-09"))
    assert project.load().plan().to_json()["target"]["rows_replaced"] == 16
    assert len(looks) == 3
