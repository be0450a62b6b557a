"""The job's only clock is the plan's as-of time: for every attempt, retry and resume, on every day."""

from __future__ import annotations

from pathlib import Path

import pytest

from raybackfill import api
from raybackfill.control.planning import units
from raybackfill.control.running import retry
from raybackfill.engines import Task
from raybackfill.errors import TransientError
from raybackfill.worker import UnitWork
from tests.bad_input.project import PYTHON, Project

STAMPED = """
from raybackfill import Context

def job(rows: pa.Table, *, context: Context) -> pa.Table:
    stamp = context.as_of.isoformat() + " " + context.timezone
    return rows.append_column("at", pa.array([stamp] * rows.num_rows))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three days of orders. Each object is a unit, and a retry does not wait."""
    monkeypatch.setattr(units, "UNIT_BYTES_SMALL", 1)
    monkeypatch.setattr(retry, "BACKOFF_SECONDS", 0.0)
    made = Project(tmp_path)
    made.job(STAMPED)
    return made


def stamps(project: Project) -> set[str]:
    return {row["at"] for rows in project.table().values() for row in rows}


def at(monkeypatch: pytest.MonkeyPatch, day: str) -> None:
    """It is another day now."""
    monkeypatch.setattr(api, "now", lambda: f"{day}T12:00:00.000Z")


@pytest.mark.parametrize("as_of", [None, "2025-02-01"])
def test_a_resume_on_another_day_goes_on_with_the_plan_s_time(
    project: Project, monkeypatch: pytest.MonkeyPatch, as_of: str | None
) -> None:
    at(monkeypatch, "2025-02-10")
    backfill = project.load(PYTHON + "timezone: Europe/Berlin\n")
    looks = iter((False, True))
    with pytest.raises(TransientError, match="interrupted"):
        backfill.run(engine="inline", as_of=as_of, stop_asked=lambda: next(looks, True))
    assert backfill.newest_run().status()["units"]["staged"] == 1
    at(monkeypatch, "2025-02-11")
    assert backfill.newest_run().resume(engine="inline").exit_code == 0
    # A date is the first instant of the zone's day.
    moment = "2025-02-10T12:00:00" if as_of is None else "2025-01-31T23:00:00"
    assert stamps(project) == {f"{moment}+00:00 Europe/Berlin"}


def test_a_retry_is_told_the_same_time(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    really = UnitWork.__call__
    failed: list[str] = []

    def fails_once_each(work: UnitWork, task: Task) -> object:
        if task.unit.id not in failed:
            failed.append(task.unit.id)
            at(monkeypatch, f"2025-03-{len(failed):02d}")
            raise TransientError("503 Slow Down")
        return really(work, task)

    monkeypatch.setattr(UnitWork, "__call__", fails_once_each)
    at(monkeypatch, "2025-02-10")
    assert project.load(PYTHON).run(engine="inline").exit_code == 0
    assert len(failed) == 3
    assert stamps(project) == {"2025-02-10T12:00:00+00:00 UTC"}


def test_a_stored_plan_is_run_later_with_its_own_time(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, "2025-02-10")
    backfill = project.load(PYTHON)
    plan = backfill.plan()
    at(monkeypatch, "2025-02-11")
    assert backfill.run(backfill.open_plan(plan.id), engine="inline").exit_code == 0
    assert stamps(project) == {"2025-02-10T12:00:00+00:00 UTC"}
    assert backfill.plan().recipe.as_of == "2025-02-11T12:00:00.000Z"
