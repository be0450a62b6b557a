"""raybackfill as its users run it: a config, a plan, a run with journal, checks and publish."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.contestants import Task, Timing
from benchmarks.revenue import QUERY
from benchmarks.workloads import FIRST_DAY
from raybackfill import api
from raybackfill.control.planning.plan import Plan
from raybackfill.control.running.ledger import Ledger
from raybackfill.observe import Silent

PROJECT = Path(__file__).parents[1]


def polars_on_ray(task: Task) -> Timing:
    return _run(task, {"python": "revenue:with_polars"}, "ray")


def arrow_on_ray(task: Task) -> Timing:
    return _run(task, {"python": "revenue:with_arrow"}, "ray")


def sql_on_ray(task: Task) -> Timing:
    return _run(task, {"sql": QUERY}, "ray")


def polars_inline(task: Task) -> Timing:
    return _run(task, {"python": "revenue:with_polars"}, "inline")


class Stopwatch(Silent):
    """A listener that takes the time of what a run says."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def began(self, run: Mapping[str, Any], plan: Plan, ledger: Ledger) -> None:
        self.at["began"] = time.time()

    def say(self, text: str) -> None:
        self.at[text] = time.time()


def _run(task: Task, transform: Mapping[str, str], engine: str) -> Timing:
    """Timed from when the workers are ready for the first unit to the journal's last entry."""
    config = _config(task, transform)
    planned_from = time.time()
    backfill = api.load(config, project=PROJECT)
    plan = backfill.plan()
    plan_seconds = time.time() - planned_from
    watch = Stopwatch()
    run = backfill.run(plan, engine=engine, workers=task.cores, listener=watch)
    status = run.status()
    if run.exit_code:
        raise RuntimeError(f"the run ended {status['state']}: {run.gate or status['errors']}")
    units = status["units"]["total"]
    return Timing(
        seconds=datetime.fromisoformat(status["ended_at"]).timestamp() - watch.at["working"],
        starting_seconds=watch.at["working"] - watch.at["began"],
        details={
            "plan_seconds": plan_seconds,
            "units": units,
            "rows_a_unit": status["rows"]["read"] / units,
            "requests_a_unit": sum(status["requests"].values()) / units,
            **_shares(task.folder, status["verified"]["unit_seconds"]),
        },
    )


def _shares(state: Path, read_back_seconds: float) -> dict[str, float]:
    """What digests and statistics took of the units' seconds, and what reading back took beside them."""
    receipts = [json.loads(path.read_text()) for path in state.rglob("receipt.json")]
    worked = sum(receipt["seconds"] for receipt in receipts)
    proof = sum(receipt["proof_seconds"] for receipt in receipts)
    return {"proof_percent": 100 * proof / worked, "read_back_percent": 100 * read_back_seconds / worked}


def _config(task: Task, transform: Mapping[str, str]) -> Path:
    """A config as a user would write it; JSON is YAML."""
    config = task.folder / "benchmark.yaml"
    document = {
        "name": "benchmark",
        "source": {"uri": str(task.source), "path": "dt={dt:%Y-%m-%d}/*.parquet"},
        "scope": {"start": str(FIRST_DAY), "end": str(task.workload.end)},
        "transform": dict(transform),
        "target": {"uri": str(task.target), "partition_by": ["dt"]},
    }
    config.write_text(json.dumps(document))
    return config
