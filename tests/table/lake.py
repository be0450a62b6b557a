"""A small table with some history, in memory, for what is done with runs after they were published."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from raybackfill.api import Backfill, Run
from raybackfill.storage.memory import MemoryStore
from raybackfill.table import Table
from tests.stores import backfill, rows_of, this_process, write_parquet

DAYS = ("2025-01-01", "2025-01-02", "2025-01-03")
TARGET = "/lake/gold/orders"
CONFIG = """
name: {name}
source: {{uri: /lake/raw, path: "dt={{dt:%Y-%m-%d}}/*"}}
transform: {{sql: "select id, value * {by} as value, dt from input"}}
scope: {{start: {start}, end: {end}}}
target: {{uri: /lake/gold/orders, partition_by: [dt]}}
"""

Rows = dict[str, list[tuple[int, int]]]


class Lake:
    """Three days of raw rows; of the table, the first day lies there in two files of another's making, and
    the third in one."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        for number, day in enumerate(DAYS, 1):
            rows = pa.table({"id": [number * 10, number * 10 + 1], "value": [number, number]})
            write_parquet(self.store, f"/lake/raw/dt={day}/a.parquet", rows)
        for day, name in ((DAYS[0], "part-00000"), (DAYS[0], "by-spark"), (DAYS[2], "part-00000")):
            rows = pa.table({"id": [99, 98], "value": [len(name), 0]})
            write_parquet(self.store, f"{TARGET}/dt={day}/{name}.parquet", rows)

    def asked(self, name: str = "orders", *, by: int = 2, days: tuple[int, int] = (1, 3)) -> Backfill:
        start, end = (f"2025-01-{day:02d}" for day in days)
        return backfill(CONFIG.format(name=name, by=by, start=start, end=end))

    def run(self, name: str = "orders", **asked: Any) -> Run:
        with this_process(self.store):
            return self.asked(name, **asked).run(engine="inline", new=True)

    def table(self) -> Rows:
        """Day -> rows, by the paths."""
        found: Rows = {}
        for path, rows in rows_of(self.store, f"{TARGET}/").items():
            if rows:
                day = found.setdefault(path.split("/")[0], [])
                day += [(row["id"], row["value"]) for row in rows]
        return {day: sorted(rows) for day, rows in found.items()}

    def data(self) -> dict[str, bytes]:
        """Path -> bytes of the files that hold rows."""
        with_rows = {path for path, rows in rows_of(self.store, f"{TARGET}/").items() if rows}
        return {path: self.store.read(f"{TARGET}/{path}").to_pybytes() for path in with_rows}

    def opened(self) -> Table:
        return Table(self.store, self.store, TARGET)

    def keys(self, part: str) -> list[str]:
        found: list[str] = self.store.page("/lake/").objects["key"].to_pylist()
        return [key for key in found if part in key]
