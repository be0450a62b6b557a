"""A straggler on real Ray: its unit gets a second attempt, and nobody waits for the first one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.api import load
from raybackfill.control.running import backup
from raybackfill.observe.logs import Logs

JOB = """
import time
from pathlib import Path
import pyarrow as pa

def job(rows: pa.Table, *, marker: str) -> pa.Table:
    # Whoever comes first to this unit hangs, as on a sick machine; the next one does not.
    if rows.num_rows > 10_000 and rows["id"][0].as_py() == 3 * 40_000:
        try:
            Path(marker).touch(exist_ok=False)
            time.sleep(600)
        except FileExistsError:
            pass
    return rows
"""
CONFIG = """
name: orders
source: {{uri: lake/raw, path: "dt={{dt:%Y-%m-%d}}/*"}}
transform: {{python: "jobs.job:job", params: {{marker: "{marker}"}}}}
target: {{uri: lake/gold, partition_by: [dt]}}
limits: {{worker_memory: 1MB}}
"""


@pytest.mark.ray
def test_a_hanging_unit_is_backed_up_and_the_run_does_not_wait_for_it(
    tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 7):
        path = tmp_path / f"lake/raw/dt=2025-01-0{day}/a.parquet"
        path.parent.mkdir(parents=True)
        rows = {"id": np.arange(40_000) + day * 40_000, "value": np.zeros(40_000)}
        pq.write_table(pa.table(rows), path)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/job.py").write_text(JOB)
    (tmp_path / "orders.yaml").write_text(CONFIG.format(marker=tmp_path / "marker"))
    # So late as a straggler is, a test would not wait.
    monkeypatch.setattr(backup, "SECONDS_MIN", 1.0)
    stream = io.StringIO()
    listener = Logs(stream, lambda: "now", lambda: 0.0)
    run = load(tmp_path / "orders.yaml").run(engine="ray", listener=listener)
    assert run.exit_code == 0
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    (second,) = [event for event in events if event.get("why") == "backup"]
    (receipt,) = [e for e in events if e["event"] == "recorded" and e.get("unit") == second["unit"]]
    assert receipt["attempt"] == second["attempt"]
    status = run.status()
    assert (status["units"]["published"], status["rows"]["out"]) == (6, 240_000)
