"""A project whose units wait at a gate of the test: what happens while a driver works can be decided."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.bad_input.project import CONFIG, Project
from tests.cli.commands import process

NAME = "configs/orders.yaml"
# Without Polars, which restarts the system calls that a signal would interrupt.
GATED = """
import socket
import pyarrow as pa
def job(rows: pa.Table):
    # The plan tries a few rows; a unit that is worked on says so, and waits until it may go on.
    if rows.num_rows > LEAST:
        with socket.create_connection(("127.0.0.1", PORT)) as gate:
            gate.sendall(b"w")
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
        """The gate of the next unit that is at work; closing it lets the unit go on. It says that it waits,
        so that a signal does not meet it in the middle of connecting."""
        gate = self.gate.accept()[0]
        gate.settimeout(WAIT_SECONDS)
        assert gate.recv(1) == b"w"
        return gate


@contextmanager
def gated_project(project: Project) -> Iterator[Gated]:
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
