"""Ctrl-C: the unit under way is finished, what is staged is kept, and resume goes on to the end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bad_input.project import CONFIG, Project
from tests.cli.commands import command, process
from tests.cli.conftest import NAME

# Without Polars, which restarts the system calls that a signal would interrupt.
GATED = """
import socket
import pyarrow as pa
def job(rows: pa.Table):
    # The plan tries a few rows; a unit that is worked on says so, and waits until it may go on.
    if rows.num_rows > LEAST:
        with socket.create_connection(("127.0.0.1", PORT)) as gate:
            gate.recv(1)
    return rows
"""
RUN = ("run", NAME, "--engine", "inline")
WAIT_SECONDS = 60


@dataclass(frozen=True)
class Gated:
    """A project of two units, each of which waits at a gate of this process."""

    project: Project
    gate: socket.socket

    def job(self, least_rows: int) -> None:
        port = self.gate.getsockname()[1]
        self.project.text("jobs/orders.py", f"PORT, LEAST = {port}, {least_rows}\n{GATED}")

    def until_working(self) -> socket.socket:
        """The gate of the next unit that is at work; closing it lets the unit go on."""
        return self.gate.accept()[0]


@pytest.fixture
def gated(project: Project) -> Iterator[Gated]:
    rows = pa.table({"id": np.arange(40_000), "value": np.random.default_rng(1).random(40_000)})
    (project.root / "raw/dt=2025-01-03/orders.parquet").unlink()
    for day in (1, 2):
        pq.write_table(rows, project.root / f"raw/dt=2025-01-0{day}/orders.parquet", row_group_size=40_000)
    project.text(NAME, CONFIG + 'transform: {python: "jobs.orders:job"}\nlimits: {worker_memory: 1MB}\n')
    with socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(WAIT_SECONDS)
        made = Gated(project, gate)
        made.job(10_000)
        yield made


@contextmanager
def started(gated: Gated, *words: str) -> Iterator[subprocess.Popen[str]]:
    running = process(*words, folder=gated.project.root)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def asked_to_stop(running: subprocess.Popen[str]) -> str:
    """What the process says on stderr when it has taken notice of the signal."""
    running.send_signal(signal.SIGINT)
    assert running.stderr is not None
    said = ""
    while "stopping after" not in said:
        line = running.stderr.readline()
        assert line, f"it ended without a word: {said}"
        said += line
    return said


def resumed(gated: Gated, run: str) -> dict[str, object]:
    """The run, resumed in a process of its own and let through its gates until it ends."""
    with started(gated, "resume", run, "--engine", "inline", "--json") as running:
        gated.until_working().close()
        out, err = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 0, err
    document: dict[str, object] = json.loads(out)
    return document


def rows_of(root: Path) -> dict[str, int]:
    return {file.parent.name: pq.read_metadata(file).num_rows for file in sorted(root.rglob("*.parquet"))}


def test_one_ctrl_c_finishes_the_unit_and_resume_goes_on(gated: Gated) -> None:
    with started(gated, *RUN, "--json") as running:
        with gated.until_working():
            said = asked_to_stop(running)
        out, _ = running.communicate(timeout=WAIT_SECONDS)
    assert "Ctrl-C again: at once" in said
    assert running.returncode == 3
    document = json.loads(out)
    assert document["exit_code"] == 3
    assert document["error"]["kind"] == "TransientError"
    assert "what is staged is kept" in document["error"]["message"]
    status = command("status", NAME, "--json").document
    assert document["error"]["next"] == f"raybackfill resume {status['run_uri']}"
    assert status["state"] == "stopped"
    assert status["units"] == {"total": 2, "waiting": 1, "staged": 1, "published": 0, "failed": 0}
    assert rows_of(gated.project.gold) == {}
    ended = resumed(gated, status["run_uri"])
    assert (ended["state"], ended["run_id"], ended["attempts"]) == ("published", status["run_id"], 2)
    assert rows_of(gated.project.gold) == {"dt=2025-01-01": 40_000, "dt=2025-01-02": 40_000}


def test_a_second_ctrl_c_stops_at_once_and_loses_the_unit_under_way_only(gated: Gated) -> None:
    with started(gated, *RUN) as running:
        gated.until_working().close()
        with gated.until_working():
            asked_to_stop(running)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 3
    assert "stopped at once: what is staged is kept" in err
    assert f"raybackfill resume {NAME}" in err
    assert "Traceback" not in err
    assert rows_of(gated.project.gold) == {}
    status = command("status", NAME, "--json").document
    assert status["units"]["staged"] == 1
    ended = resumed(gated, NAME)
    assert (ended["state"], ended["run_id"]) == ("published", status["run_id"])
    assert rows_of(gated.project.gold) == {"dt=2025-01-01": 40_000, "dt=2025-01-02": 40_000}


def test_ctrl_c_before_the_run_has_begun_leaves_nothing_to_resume(gated: Gated) -> None:
    gated.job(0)
    with started(gated, "plan", NAME, "--json") as running, gated.until_working():
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 3
    assert json.loads(out)["error"]["message"] == "stopped"
    assert "Traceback" not in err
    assert command("list", NAME, "--json").document["runs"] == []
