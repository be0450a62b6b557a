"""--log-format json: stderr is JSON lines and nothing else, and each attempt can be followed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bad_input.project import CONFIG, Project
from tests.cli.commands import Printed, command
from tests.cli.gates import NAME

JOB = """
import logging
import pyarrow as pa
def job(rows: pa.Table):
    logging.getLogger(__name__).warning("saw %d rows", rows.num_rows)
    return rows
"""


def lines(printed: Printed) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.err.splitlines()]


@pytest.mark.parametrize("engine", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_every_attempt_can_be_followed_from_its_start_to_the_journal(
    project: Project, engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "ray":
        request.getfixturevalue("ray_session")
    project.text("jobs/orders.py", JOB)
    project.text(NAME, CONFIG + 'transform: {python: "jobs.orders:job"}\n')
    printed = command("run", NAME, "--engine", engine, "--log-format", "json", "--json")
    assert printed.exit_code == 0, printed.err
    document = printed.document
    found = lines(printed)
    assert found[0]["event"] == "run_began"
    of_run = [line for line in found if line["event"] != "run_began"]
    assert {line["run"] for line in of_run} == {document["run_id"]}
    attempts = {line["attempt"] for line in found if line["event"] == "started"}
    assert len(attempts) == document["attempts"]
    for attempt in attempts:
        story = [line for line in of_run if line.get("attempt") == attempt]
        assert [line["event"] for line in story if line["event"] != "log"] == ["started", "ended", "recorded"]
        said = [line["message"] for line in story if line["event"] == "log"]
        assert (said[0], said[-1]) == ("began", "staged")
        assert any(message.startswith("saw ") for message in said)


def test_an_error_is_a_line_too(project: Project) -> None:
    project.text(NAME, CONFIG.replace("source:", "sauce:"))
    printed = command("plan", NAME, "--log-format", "json")
    (line,) = lines(printed)
    assert (line["event"], line["level"], line["exit_code"]) == ("error", "error", 2)
    assert "sauce" in line["where"] + line["message"]


def test_the_format_ends_with_its_command(project: Project) -> None:
    command("plan", NAME, "--log-format", "json")
    assert command("plan", "nowhere.yaml").err.startswith("error: nowhere.yaml")
    assert command("plan", "nowhere.yaml", RAYBACKFILL_LOG_FORMAT="json").err.startswith("{")
