"""A project in a folder of its own: a small lake, a job, a config, and what a refusal leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raybackfill import api
from raybackfill.errors import RaybackfillError

DAYS = ("2025-01-01", "2025-01-02", "2025-01-03")
CONFIG = """
name: orders
source: {uri: raw, path: "dt={dt:%Y-%m-%d}/*"}
target: {uri: gold, partition_by: [dt]}
"""
PYTHON = CONFIG + 'transform: {python: "jobs.orders:job"}\n'
PER_PARTITION = CONFIG + 'transform: {python: "jobs.orders:job", per: partition}\n'


def day_rows(day: str) -> pa.Table:
    start = int(day[-2:]) * 10
    return pa.table(
        {"id": range(start, start + 4), "shop": ["a", "b", "a", "c"], "value": [1.5, 2.5, 3.5, 4.5]}
    )


class Project:
    """`raw` holds the source, `gold` is the target, beside it the state."""

    def __init__(self, root: Path, days: tuple[str, ...] = DAYS) -> None:
        self.root = root
        self.gold = root / "gold"
        (root / "pyproject.toml").write_text("")
        for day in days:
            self.write(f"raw/dt={day}/orders.parquet", day_rows(day))

    def write(self, path: str, table: pa.Table, **options: Any) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, file, **options)
        return file

    def text(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def job(self, body: str) -> None:
        self.text("jobs/orders.py", "import pyarrow as pa\nimport polars as pl\n" + body)

    def load(self, config: str = CONFIG, **overrides: str) -> api.Backfill:
        file = self.text("configs/orders.yaml", config)
        return api.load(file, set=overrides)

    def run(self, config: str = CONFIG) -> api.Run:
        return self.load(config).run(engine="inline")

    def refused(self, config: str = CONFIG) -> RaybackfillError:
        """The error of a run, after a check that the table is byte for byte what it was before."""
        before = self.bytes_of_target()
        try:
            self.run(config)
        except RaybackfillError as error:
            assert self.bytes_of_target() == before
            assert error.message
            return error
        raise AssertionError("the run was not refused")

    def bytes_of_target(self) -> dict[str, bytes]:
        """What lies under the target, and the versions of the table."""
        versions = self.root / "_raybackfill" / "tables"
        files = [file for top in (self.gold, versions) for file in sorted(top.rglob("*")) if file.is_file()]
        return {str(file.relative_to(self.root)): file.read_bytes() for file in files}

    def table(self) -> dict[str, list[dict[str, Any]]]:
        """Folder -> rows, as the files hold them; folders without rows are left out."""
        found: dict[str, list[dict[str, Any]]] = {}
        for file in sorted(self.gold.rglob("*.parquet")):
            folder, rows = str(file.parent.relative_to(self.gold)), pq.ParquetFile(file).read().to_pylist()
            if rows:
                found.setdefault(folder, []).extend(rows)
        return found


def explained(error: RaybackfillError, kind: str, exit_code: int, *words: str) -> None:
    """The right error: its class, its exit code, what it names, and a next step."""
    assert (error.kind, error.exit_code) == (kind, exit_code), str(error)
    for word in words:
        assert word in str(error), f"{word!r} is not in: {error}"
    assert error.next, f"no next step: {error}"
