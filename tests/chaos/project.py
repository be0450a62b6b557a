"""A project on this machine's disk, whose units take their time, and what its run must come to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

REPOSITORY = Path(__file__).parents[2]
DAYS = 14
ROWS = 40_000
SECONDS_MAX = 120

JOB = """
import os
import time
import pyarrow as pa
import pyarrow.compute as pc

def slow(rows: pa.Table) -> pa.Table:
    # The plan tries a few rows; a unit takes so long that there is time to do harm.
    if rows.num_rows > 10_000:
        time.sleep(float(os.environ.get("CHAOS_UNIT_SECONDS", "0.3")))
    return rows.set_column(1, "value", pc.multiply(rows["value"], 2))
"""
CONFIG = f"""
name: orders
source: {{uri: lake/raw, path: "dt={{dt:%Y-%m-%d}}/*"}}
scope: {{start: 2025-01-01, end: 2025-01-{DAYS:02d}}}
transform: {{python: "jobs.slow:slow"}}
target: {{uri: lake/gold, partition_by: [dt]}}
limits: {{worker_memory: 1MB}}
"""


@dataclass
class Project:
    """`root` holds everything. A command is a process of its own, in a session of its own."""

    root: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self) -> None:
        """Days of one object each, each a unit; of the table three days are there, in too many files, and
        one that the scope leaves alone."""
        rows = np.random.default_rng(1).random(ROWS)
        for day in range(1, DAYS + 1):
            self._parquet(f"lake/raw/dt=2025-01-{day:02d}/a.parquet", np.arange(ROWS) + day * ROWS, rows)
        for day, files in ((1, 2), (2, 1), (3, 3), (DAYS, 1)):
            for number in range(files):
                path = f"lake/gold/dt=2025-01-{day:02d}/part-{number:05d}.parquet"
                self._parquet(path, np.arange(5), np.zeros(5))
        for name, text in {"pyproject.toml": "", "orders.yaml": CONFIG, "jobs/slow.py": JOB}.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)

    def _parquet(self, name: str, ids: Any, values: Any) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": ids, "value": values}), path)

    def command(self, *words: str) -> subprocess.Popen[str]:
        log = (self.root / f"log-{len(self.started)}.jsonl").open("w")
        running = subprocess.Popen(
            [sys.executable, "-m", "raybackfill", *words],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "RAYBACKFILL_LOG_FORMAT": "json"},
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        self.started.append(running)
        return running

    def ended(self, running: subprocess.Popen[str]) -> int:
        return running.wait(timeout=SECONDS_MAX)

    def stop_all(self) -> None:
        """Whatever still runs of what was started here, by its process group."""
        for running in self.started:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()

    def run_folder(self) -> Path | None:
        return next(iter(sorted((self.root / "lake/_raybackfill/orders/runs").glob("*"))), None)

    def journal(self) -> list[dict[str, Any]]:
        folder = self.run_folder()
        paths = sorted((folder / "journal").glob("*.json")) if folder is not None else []
        return [json.loads(path.read_text()) for path in paths]

    def entries(self) -> list[dict[str, Any]]:
        return [entry for content in self.journal() for entry in content["entries"]]

    def receipts(self) -> int:
        return sum(entry["kind"] == "receipt" for entry in self.entries())

    def state(self) -> str:
        states = [entry["state"] for entry in self.entries() if entry["kind"] == "state"]
        return states[-1] if states else "running"

    def table(self) -> dict[str, Any]:
        """path -> rows, of all that lies under the target."""
        gold = self.root / "lake/gold"
        files = sorted(path for path in gold.rglob("*") if path.is_file())
        return {
            str(path.relative_to(gold)): pq.read_table(path, partitioning=None).to_pydict() for path in files
        }

    def check_record(self) -> None:
        """Each unit decided once, no batch twice, and what was replaced is kept."""
        receipts = Counter(entry["unit"] for entry in self.entries() if entry["kind"] == "receipt")
        assert len(receipts) == DAYS - 1, f"{len(receipts)} units have receipts"
        batches = [(content["driver"], content["batch"]) for content in self.journal() if content["batch"]]
        assert len(batches) == len(set(batches)), "a batch stands twice in the journal"
        folder = self.run_folder()
        assert folder is not None
        kept = [path for path in (folder / "previous").rglob("*") if path.is_file()]
        assert len(kept) == 6, f"{len(kept)} previous files are kept"
