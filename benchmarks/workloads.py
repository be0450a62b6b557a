"""Makes the inputs: events in hive folders, the same bytes each time, kept until their recipe changes."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FIRST_DAY = date(2025, 1, 1)
RECIPE = "events/1"
"""Raise the number when the rows change: a cached input of another recipe is made anew."""
ROW_GROUP_ROWS = 131_072
DOUBLED_SHARE = 0.02
KINDS = pa.array(["view", "click", "cart", "purchase", "refund"])
CURRENCIES = pa.array(["USD", "EUR", "GBP", "JPY", "INR", "BRL"])


@dataclass(frozen=True)
class Workload:
    """`days` folders of `files_a_day` files, each day of `rows_a_day` rows; with `text_bytes` each row has a
    text of about that many, too."""

    name: str
    days: int
    rows_a_day: int
    files_a_day: int
    text_bytes: int = 0

    @property
    def rows(self) -> int:
        return self.days * (self.rows_a_day // self.files_a_day) * self.files_a_day

    @property
    def files(self) -> int:
        return self.days * self.files_a_day

    @property
    def end(self) -> date:
        """The day after the last."""
        return FIRST_DAY + timedelta(days=self.days)


FULL = (Workload("W1", 64, 250_000, 1), Workload("W4", 32, 80_000, 64), Workload("texts", 32, 60_000, 1, 300))
QUICK = (Workload("W1", 8, 60_000, 1), Workload("W4", 4, 8_000, 12), Workload("texts", 4, 20_000, 1, 300))


@dataclass(frozen=True)
class Input:
    """Where a workload's files lie, and how large they are."""

    workload: Workload
    folder: Path
    bytes: int


def prepare(workload: Workload, cache: Path) -> Input:
    """The workload's files, made if they are not there. A folder comes to its name when it is whole."""
    shape = f"{workload.days}x{workload.rows_a_day}x{workload.files_a_day}"
    shape += f"-{workload.text_bytes}" if workload.text_bytes else ""
    folder, note = cache / f"events-{shape}", cache / f"events-{shape}.json"
    made_as = {"recipe": RECIPE, **asdict(workload)}
    if not (folder.is_dir() and note.is_file() and json.loads(note.read_text()) == made_as):
        making = cache / f"events-{shape}.making"
        for leftover in (folder, making):
            shutil.rmtree(leftover, ignore_errors=True)
        for day in range(workload.days):
            _write_day(workload, day, making)
        making.rename(folder)
        note.write_text(json.dumps(made_as))
    return Input(workload, folder, sum(path.stat().st_size for path in folder.glob("*/*.parquet")))


def _write_day(workload: Workload, day: int, root: Path) -> None:
    folder = root / f"dt={FIRST_DAY + timedelta(days=day)}"
    folder.mkdir(parents=True)
    rows = workload.rows_a_day // workload.files_a_day
    for index in range(workload.files_a_day):
        number = day * workload.files_a_day + index
        pq.write_table(
            _events(day, number, rows, workload.text_bytes),
            folder / f"part-{index:04d}.parquet",
            compression="snappy",
            row_group_size=ROW_GROUP_ROWS,
        )


def _events(day: int, number: int, rows: int, text_bytes: int) -> pa.Table:
    """The rows of one file. Its number is its seed, so that files do not depend on each other."""
    random = np.random.default_rng(number)
    ids = np.arange(number * rows, (number + 1) * rows, dtype=np.int64)
    doubled = int(rows * DOUBLED_SHARE)
    if doubled:
        ids[-doubled:] = ids[random.integers(0, rows - doubled, doubled)]
    midnight = np.datetime64(FIRST_DAY + timedelta(days=day), "us")
    sessions = pa.array(random.integers(0, 10**9, rows)).cast(pa.string())
    events = pa.table(
        {
            "event_id": ids,
            "seq": np.arange(rows, dtype=np.int64),
            "ts": pa.array(midnight + random.integers(0, 86_400_000_000, rows).astype("timedelta64[us]")),
            "user_id": (random.zipf(1.3, rows) % 1_000_000).astype(np.int64),
            "tenant": random.integers(0, 50, rows).astype(np.int32),
            "kind": KINDS.take(pa.array(random.integers(0, len(KINDS), rows))),
            "currency": CURRENCIES.take(pa.array(random.integers(0, len(CURRENCIES), rows))),
            "amount": np.round(random.gamma(2, 20, rows), 2),
            "session": pc.binary_join_element_wise("s", sessions, ""),
        }
    )
    return events.append_column("message", _texts(random, rows, text_bytes)) if text_bytes else events


def _texts(random: np.random.Generator, rows: int, text_bytes: int) -> pa.Array:
    """Texts of half to one and a half times that length, of sixteen letters: half of it is noise."""
    lengths = random.integers(text_bytes // 2, text_bytes * 3 // 2, rows)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]).astype(np.int32)
    letters = random.integers(ord("a"), ord("a") + 16, int(offsets[-1])).astype(np.uint8)
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(letters)])
