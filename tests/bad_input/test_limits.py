"""Objects that do not fit a worker's memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.bad_input.project import CONFIG, Project, explained

TINY = "limits: {worker_memory: 1MB}\n"
"""So little that a unit has the least size there is, one million decoded bytes."""


@pytest.fixture
def oversized(tmp_path: Path) -> Project:
    """One object of one row group, so that it cannot be split, of 3.2 MB decoded."""
    project = Project(tmp_path, days=("2025-01-01",))
    rows = pa.table({"id": np.arange(200_000), "shop": pa.array(np.arange(200_000) % 7)})
    project.write("raw/dt=2025-01-02/large.parquet", rows, row_group_size=200_000)
    project.write("raw/dt=2025-01-01/orders.parquet", rows.slice(0, 10))
    return project


def test_a_partition_that_does_not_fit_is_refused_with_its_size(oversized: Project) -> None:
    config = CONFIG + 'transform: {sql: "select dt, count(*) as n from input group by dt", per: partition}\n'
    error = oversized.refused(config + TINY)
    explained(error, "SpecError", 2, "large.parquet", "bytes decoded", "1,000,000", "limits.worker_memory")
    size = next(word for word in error.message.split() if word[0].isdigit())
    assert int(size.replace(",", "")) > 3_000_000
    run = oversized.run(config)
    assert run.exit_code == 0
    assert oversized.table() == {"dt=2025-01-01": [{"n": 10}], "dt=2025-01-02": [{"n": 200_000}]}


def test_it_is_streamed_where_any_batch_will_do(oversized: Project) -> None:
    run = oversized.run(CONFIG + 'transform: {sql: "select id, shop + 1 as shop, dt from input"}\n' + TINY)
    assert run.exit_code == 0
    assert run.status()["rows"]["out"] == 200_010
    assert run.status()["units"]["total"] == 2
    assert [row["id"] for row in oversized.table()["dt=2025-01-02"]] == list(range(200_000))
