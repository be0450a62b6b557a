"""A small table with a run over it, whose files can be damaged in every way."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.api import Backfill, Run
from raybackfill.storage.memory import MemoryStore
from tests.stores import backfill, rows_of, this_process, write_parquet

CONFIG = """
name: orders
source: {uri: /lake/raw, path: "dt={dt:%Y-%m-%d}/*"}
transform: {python: "jobs.keep:keep"}
target: {uri: /lake/gold/orders, partition_by: [dt]}
verify:
  reconcile:
    - source: select dt, count(*) as orders, sum(price) as price from source where price > 0 group by dt
      target: select dt, count(*) as orders, sum(price) as price from target group by dt
"""
JOB = """
import pyarrow as pa
import pyarrow.compute as pc

def keep(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.greater(rows["price"], pa.scalar(0)))
"""
DAYS = ("2025-01-01", "2025-01-02", "2025-01-03")
TABLE = "/lake/gold/orders"


def day(index: int) -> pa.Table:
    """Eight rows of which the job keeps seven. Pairs of them have the same number, so that texts can be
    exchanged between rows while every count, bound and sum stays."""
    numbers = range(8)
    return pa.table(
        {
            "id": pa.array([100 * index + n for n in numbers], pa.int64()),
            "at": pa.array([datetime(2025, 1, 1 + index, n) for n in numbers], pa.timestamp("us")),
            "name": pa.array([f"customer {n % 3} of {index}" if n != 5 else None for n in numbers]),
            "price": pa.array([Decimal(n) / 4 for n in numbers], pa.decimal128(12, 2)),
            "share": pa.array([n / 3 for n in numbers], pa.float64()),
        }
    )


@dataclass
class Shop:
    """The store, and the backfill over it. Each call of raybackfill is a process of its own."""

    store: MemoryStore
    asked: Backfill

    @classmethod
    def opened(cls, project: Path, patch: pytest.MonkeyPatch, store: MemoryStore | None = None) -> Shop:
        patch.setattr("raybackfill.control.planning.units.UNIT_BYTES_SMALL", 1)
        patch.setattr("raybackfill.control.running.retry.BACKOFF_SECONDS", 0.0)
        store = store or MemoryStore()
        for index, name in enumerate(DAYS):
            write_parquet(store, f"/lake/raw/dt={name}/orders.parquet", day(index))
        (project / "jobs").mkdir()
        (project / "jobs" / "keep.py").write_text(JOB)
        return cls(store, backfill(CONFIG, project))

    def run(self, *, publish: bool) -> Run:
        with this_process(self.store):
            return self.asked.run(engine="inline", publish=publish, as_of="2025-02-01")

    def verify(self, **options: Any) -> dict[str, Any]:
        with this_process(self.store):
            return self.asked.newest_run().verify(engine="inline", **options)

    def resume(self) -> Run:
        with this_process(self.store):
            return self.asked.newest_run().resume(engine="inline")

    def staged(self) -> list[str]:
        """Keys of the staged files, in the order of their days."""
        return sorted(self.staged_keys(), key=lambda key: self.rows(key)[0]["id"])

    def staged_keys(self) -> list[str]:
        """The same, in the order of keys, whatever is in them."""
        return [key for key in self.keys("/lake/gold/_raybackfill/") if key.endswith(".staged")]

    def published(self) -> list[str]:
        return self.keys(f"{TABLE}/")

    def receipts(self) -> list[str]:
        return [key for key in self.keys("/lake/gold/_raybackfill/") if key.endswith("receipt.json")]

    def journal(self) -> list[str]:
        return [key for key in self.keys("/lake/gold/_raybackfill/") if "/journal/" in key]

    def keys(self, prefix: str) -> list[str]:
        found: list[str] = self.store.page(prefix).objects["key"].to_pylist()
        return found

    def data(self, key: str) -> bytes:
        data: bytes = self.store.read(key).to_pybytes()
        return data

    def rows(self, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(self.data(key))).to_pylist()
        return rows

    def table(self) -> dict[str, list[dict[str, Any]]]:
        return rows_of(self.store, f"{TABLE}/")

    def rot(self, key: str, data: bytes) -> None:
        """Other bytes under the same tag, size and stamp: what a store does that loses bits."""
        there = self.store._objects[key]
        assert len(there.data) == len(data)
        self.store._objects[key] = type(there)(data, there.tag, there.stamp, there.modified)


def expected() -> dict[str, list[dict[str, Any]]]:
    """The table by hand."""
    return {
        f"dt={name}/part-00000.parquet": day(index).slice(1).to_pylist() for index, name in enumerate(DAYS)
    }
