"""Writes and reads golden states: a run in the middle, as one version of raybackfill left it.

`python -m tests.golden.states journal-1` writes one with the code as it is: a run in the middle of its work,
or with `version-..` in the middle of its publish. That is done once for each format: what is written here is
what users have in their buckets, and every later version must resume it.
"""

from __future__ import annotations

import base64
import itertools
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raybackfill import checkpoint, worker
from raybackfill.checkpoint import recorder
from raybackfill.control.planning import units
from raybackfill.engines import Task
from raybackfill.errors import OUT_OF_MEMORY, RaybackfillError, UnitError
from raybackfill.storage import parallel
from raybackfill.storage.memory import MemoryStore, _Object
from tests.stores import CHANGES, Crashed, CrashingStore, backfill, this_process, write_parquet

FOLDER = Path(__file__).parent
NEW_TAGS_FROM = 1_000_000
CONFIG = """
name: orders
source: {uri: /lake/raw, path: "dt={dt:%Y-%m-%d}/*"}
scope: {include: {shop: [a]}}
transform: {python: "jobs.double:double", params: {times: 2}}
target: {uri: /lake/gold/orders, partition_by: [dt]}
retries: {attempts: 2, breaker: 100%}
"""
JOB = """
import pyarrow as pa
import pyarrow.compute as pc

def double(rows: pa.Table, *, times: int) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index("value"), "value", pc.multiply(rows["value"], times))
"""
DAYS = [f"2025-01-{day:02d}" for day in range(1, 6)]


def lake() -> MemoryStore:
    """Five days of two objects, and a table that has two of them, of two shops."""
    store = MemoryStore()
    for day in DAYS:
        for part in (0, 4):
            start = int(day[-2:]) * 100 + part
            table = pa.table({"id": range(start, start + 4), "shop": ["a"] * 4, "value": [start] * 4})
            write_parquet(store, f"/lake/raw/dt={day}/f{part}.parquet", table)
    for day in DAYS[:2]:
        table = pa.table({"id": [1, 2, 3], "shop": ["a", "b", "b"], "value": [7, 8, 9]})
        write_parquet(store, f"/lake/gold/orders/dt={day}/old.parquet", table)
    return store


def leave_in_the_middle(store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    """A run that was stopped with everything in its journal that there is: receipts, a failure, a
    split, a unit set aside, a receipt that was taken back, and a snapshot."""
    patch.setattr(units, "UNIT_BYTES_SMALL", 600)
    patch.setattr(recorder, "COMMIT_SECONDS", 0.0)
    patch.setattr(checkpoint, "SNAPSHOT_EVERY", 5)
    # What the first units of the plan do, attempt by attempt, before they do as they should.
    script = {0: [UnitError("no memory", fault=OUT_OF_MEMORY)], 1: [UnitError("wrong"), UnitError("wrong")]}
    receipts: list[Any] = []
    really = worker.UnitWork.__call__

    def follows_the_script(work: worker.UnitWork, task: Task) -> Any:
        if script.get(task.unit.index):
            raise script[task.unit.index].pop(0)
        receipts.append(really(work, task))
        return receipts[-1]

    patch.setattr(worker.UnitWork, "__call__", follows_the_script)
    with tempfile.TemporaryDirectory() as project, this_process(store):
        root = Path(project)
        (root / "jobs").mkdir()
        (root / "jobs" / "double.py").write_text(JOB)
        asked = backfill(CONFIG, root)
        try:
            asked.run(engine="inline", as_of="2025-02-01", stop_asked=lambda: len(receipts) > 3)
        except RaybackfillError as error:
            print(f"stopped: {error}")
        # One of its files is damaged, which verify finds; who repairs it is stopped at once.
        staged = [key for key in store._objects if key.endswith(".staged")]
        store.put(staged[0], b"damaged")
        try:
            asked.newest_run().verify(engine="inline", repair=True, stop_asked=lambda: True)
        except RaybackfillError as error:
            print(f"stopped: {error}")


class DiesWithinPublish(CrashingStore):
    """Dies before the third change of the table's paths."""

    _changes = 0

    def _enter(self, verb: str, key: str) -> bool:
        if verb in CHANGES and key.startswith("/lake/gold/orders/"):
            self._changes += 1
            if self._changes == 3:
                self._at = len(self.calls) + 1
        return super()._enter(verb, key)


def leave_within_publish(store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    """The same run, taken up again and cut off while its version was brought to the paths."""
    leave_in_the_middle(store, patch)
    patch.setattr(parallel, "THREADS", 1)
    with this_process(DiesWithinPublish(store, scheme=store.scheme)), pytest.raises(Crashed):
        backfill(CONFIG).newest_run().resume(engine="inline", retry_failed=True, take_over=True)


LEAVE = {"journal": leave_in_the_middle, "version": leave_within_publish}


def save(store: MemoryStore, name: str) -> None:
    """Objects as text where they are text: a golden state can be read with the eyes."""
    objects = {}
    for key, value in sorted(store._objects.items()):
        try:
            content: dict[str, str] = {"text": value.data.decode()}
        except UnicodeDecodeError:
            content = {"base64": base64.b64encode(value.data).decode()}
        objects[key] = {"tag": value.tag, "stamp": value.stamp, **content}
    (FOLDER / f"{name}.json").write_text(json.dumps(objects, indent=1) + "\n")


def load(path: Path) -> MemoryStore:
    store = MemoryStore()
    for key, value in json.loads(path.read_text()).items():
        data = value["text"].encode() if "text" in value else base64.b64decode(value["base64"])
        store._place(key, _Object(data, value["tag"], value["stamp"], datetime(2025, 2, 1, tzinfo=UTC)))
    # No new object may have a tag that stands in the state.
    store._numbers = itertools.count(NEW_TAGS_FROM)
    return store


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as context:
        made = lake()
        LEAVE[sys.argv[1].partition("-")[0]](made, context)
        save(made, sys.argv[1])
