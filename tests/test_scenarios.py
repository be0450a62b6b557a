"""Scenarios as data: each folder of `scenarios` is a project in text, and the table that must come of it.

    spec.yaml            the backfill, which writes to `table`
    before.yaml          one that is run first, to make the table as it is before (optional)
    input/, jobs/        what they read and call
    expected.json        folder -> its rows, file by file, without the columns that name the folder
    expected_run.json    a part of `status --json` (optional)
    expected_plan.json   a part of `plan --json` (optional)
    expected_files.json  folder -> how many files (optional; else one each)

Nothing else: adding one needs no code.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raybackfill import api

SCENARIOS = sorted(path.parent for path in (Path(__file__).parent / "scenarios").glob("*/spec.yaml"))


def read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else {}


def files_of(table: Path) -> dict[str, list[Path]]:
    """Folder -> its files by name. Whatever lies under the table is one of them, but for those that a
    publish left without rows."""
    found: dict[str, list[Path]] = {}
    for file in sorted(path for path in table.rglob("*") if path.is_file()):
        if pq.read_metadata(file).num_rows:
            found.setdefault(file.parent.relative_to(table).as_posix(), []).append(file)
    return found


def rows_of(files: list[Path]) -> Any:
    rows = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    return json.loads(json.dumps(rows, default=str))


def assert_part(part: Any, whole: Any, where: str) -> None:
    """All that `part` says, `whole` says too."""
    if isinstance(part, dict):
        for name, value in part.items():
            assert name in whole, f"{where} has no {name}"
            assert_part(value, whole[name], f"{where}.{name}")
    else:
        assert whole == part, where


def run(project: Path, config: str) -> api.Run:
    ended = api.load(project / config, project=project).run(engine="inline", as_of="2025-12-31")
    assert ended.exit_code == 0, ended.status()
    return ended


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_scenario(scenario: Path, tmp_path: Path) -> None:
    if "sql:" in (scenario / "spec.yaml").read_text():
        pytest.importorskip("duckdb")
    if (scenario / "jobs").exists():
        pytest.importorskip("polars")
    project = tmp_path / scenario.name
    shutil.copytree(scenario, project)
    if (project / "before.yaml").exists():
        run(project, "before.yaml")
    plan = api.load(project / "spec.yaml", project=project).plan(as_of="2025-12-31")
    assert_part(read(scenario / "expected_plan.json"), plan.to_json(), "plan")
    ended = run(project, "spec.yaml")
    assert_part(read(scenario / "expected_run.json"), ended.status(), "run")
    files = files_of(project / "table")
    expected = json.loads((scenario / "expected.json").read_text())
    assert {folder: rows_of(found) for folder, found in files.items()} == expected
    counts = read(scenario / "expected_files.json") or dict.fromkeys(expected, 1)
    assert {folder: len(found) for folder, found in files.items()} == counts
    again = run(project, "spec.yaml")
    assert again.id != ended.id
    if "repair" not in scenario.name:
        repeated = files_of(project / "table")
        assert {folder: rows_of(found) for folder, found in repeated.items()} == expected, "run twice"


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 12
