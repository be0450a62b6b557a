"""Every later version resumes what an earlier one left, and refuses what it does not know."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from raybackfill.errors import IntegrityError, RaybackfillError
from raybackfill.storage.memory import MemoryStore
from tests.golden.states import CONFIG, DAYS, FOLDER, load
from tests.stores import backfill, rows_of, this_process

STATES = sorted(FOLDER.glob("*.json"))


def expected() -> dict[str, list[tuple[int, str, int]]]:
    """The table by hand: shop a's rows doubled, and shop b's, which no scope named, as they were."""
    table = {}
    for day in DAYS:
        starts = [int(day[-2:]) * 100 + part for part in (0, 4)]
        rows = [(start + n, "a", 2 * start) for start in starts for n in range(4)]
        table[f"dt={day}"] = sorted(rows + ([(2, "b", 8), (3, "b", 9)] if day in DAYS[:2] else []))
    return table


def table_of(store: MemoryStore) -> dict[str, list[tuple[int, str, int]]]:
    found: dict[str, list[tuple[int, str, int]]] = {}
    for path, rows in rows_of(store, "/lake/gold/orders/").items():
        day = found.setdefault(path.split("/")[0], [])
        day += [(row["id"], row["shop"], row["value"]) for row in rows]
    return {day: sorted(rows) for day, rows in found.items()}


def journal(store: MemoryStore) -> list[str]:
    keys = store.page("/lake/gold/_raybackfill/orders/runs/").objects["key"].to_pylist()
    contents = [json.loads(store.read(key).to_pybytes()) for key in keys if "/journal/" in key]
    return [entry["kind"] for content in contents for entry in content["entries"]]


def test_there_is_a_state() -> None:
    assert STATES


@pytest.mark.parametrize("path", STATES, ids=lambda path: path.stem)
def test_a_golden_state_is_resumed_to_the_whole_table(path: Path) -> None:
    store = load(path)
    assert {"epoch", "state", "receipt", "failed", "split", "set_aside"} <= set(journal(store))
    assert store.page("/lake/gold/_raybackfill/orders/runs/").objects.num_rows > 10
    assert table_of(store) != expected()
    with this_process(store):
        run = backfill(CONFIG).newest_run()
        staged = run.status()["units"]["staged"]
        ended = run.resume(engine="inline", retry_failed=True)
    assert staged > 0
    assert ended.exit_code == 0
    assert ended.status()["attempts"] < 2 * ended.status()["units"]["total"], (
        "what was staged is not done again"
    )
    assert table_of(store) == expected()


@pytest.mark.parametrize(
    ("part", "format", "next_format"),
    [
        ("/journal/", "journal/1", "journal/2"),
        ("/plan.json", "plan/1", "plan/2"),
        ("/run.json", "run/1", "run/2"),
        ("/versions/", "version/2", "version/3"),
        ("/snapshots/", "snapshot/2", "snapshot/3"),
    ],
)
def test_an_unknown_format_is_refused_and_nothing_is_changed(
    part: str, format: str, next_format: str
) -> None:
    store = load(STATES[-1])
    listed = store.page("/lake/", folders=False).objects["key"].to_pylist()
    key = [key for key in listed if part in key][-1]
    data = store.read(key).to_pybytes()
    if key.endswith(".json"):
        changed = data.replace(format.encode(), next_format.encode())
    else:
        changed = _with_format(data, next_format)
    assert changed != data
    store.put(key, changed)
    before = dict(store._objects)
    with this_process(store), pytest.raises(RaybackfillError, match=f"format is '{next_format}'") as caught:
        backfill(CONFIG).newest_run().resume(engine="inline", retry_failed=True)
    assert isinstance(caught.value, IntegrityError)
    assert "version of raybackfill that wrote it" in caught.value.next
    assert store._objects == before


def _with_format(data: bytes, format: str) -> bytes:
    """The Parquet file with another format in its metadata."""
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(data))
    sink = pa.BufferOutputStream()
    metadata = {**table.schema.metadata, b"format": format.encode()}
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content
