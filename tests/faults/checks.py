"""What a finished run must leave, wherever it was cut off before: its table, and records that bear it out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq

from raybackfill.checkpoint import Checkpoint
from raybackfill.control.running.ledger import Ledger
from raybackfill.errors import RaybackfillError
from raybackfill.paths import RunPaths, TablePaths
from tests.faults.crashes import Death, Kept, Scene, Watched, deaths, keys_of, watched_run
from tests.stores import this_process

RUN_ID = re.compile(r"orders-\d{8}T\d{6}Z-\w{4}")

Table = dict[str, tuple[list[str], list[tuple[Any, ...]]]]
"""path -> columns with their types, and rows: a table by content and listing."""


@dataclass(frozen=True)
class Ended:
    """What two runs of one shape must agree on, whatever they met."""

    table: Table
    version: int
    retired: tuple[str, ...]
    status: Mapping[str, Any]


@dataclass(frozen=True)
class Undisturbed:
    """A run that met nothing: what stood at its start, its calls, and what it ended in."""

    start: Kept
    calls: Watched
    ended: Ended


def undisturbed(scene: Scene) -> Undisturbed:
    """Bring the scene to its start, and run it once. AssertionError where its table is not the one that
    was written by hand."""
    store = Kept()
    scene.start(store)
    start = store.copy_of_all()
    watched = watched_run(scene, store)
    found = ended(scene, store)
    if scene.shape.table is not None:
        assert rows_by_path(found.table) == scene.shape.table
    return Undisturbed(start, watched, found)


def check_every_death(scene: Scene, every: int = 1) -> None:
    """AssertionError unless a run that dies at any of its calls goes on to what it ends in undisturbed. With
    `every`, only one in so many deaths is tried; others for another shape."""
    alone = undisturbed(scene)
    found = deaths(alone.calls)
    covered = [call.number for death in found for call in death.before]
    assert covered == list(range(1, len(alone.calls.calls) + 1)), "every call is in one of the deaths"
    for death in found[crc32(scene.shape.name.encode()) % every :: every]:
        check_goes_on(scene, [death], alone.ended)


def check_goes_on(scene: Scene, chain: Sequence[Death], expected: Ended) -> None:
    """Go on from what the last death of a chain left."""
    where = f"{scene.shape.name}: {'; then '.join(map(str, chain))}"
    store = chain[-1].left.copy_of_all()
    try:
        scene.drive(store)
        found = ended(scene, store)
    except (AssertionError, RaybackfillError) as error:
        raise AssertionError(f"{where}: {error!r}") from error
    assert found == expected, where


def ended(scene: Scene, store: Any) -> Ended:
    """AssertionError where what the run left does not bear itself out."""
    with this_process(store):
        (run,) = scene.asked.runs()
        status = run.status()
    paths = RunPaths.of_root(f"{scene.root}/gold/_raybackfill/orders/runs/{run.id}")
    entries = _journal(store, paths)
    ledger = _replayed(store, paths, entries)
    decided = _first_decisions(entries)
    assert ledger.decided == {unit: e["attempt"] for unit, e in decided.items() if e["kind"] == "receipt"}
    assert ledger.splits.keys() == {unit for unit, e in decided.items() if e["kind"] == "split"}
    assert _added_up(decided.values()) == _without_zeros(ledger.rows.to_json())
    table = table_of(store, scene.target)
    versions = _versions(scene, store)
    made = [version for version in versions if version["run_id"] == run.id]
    if scene.shape.gate:
        assert not made, "a gate refused it, and a version stands"
    else:
        assert [version["version"] for version in made] == [len(versions)], "one version, the newest"
        _check_version(scene, store, made[0], decided)
        _check_kept(scene, store, paths, made[0])
    return Ended(
        table=table,
        version=len(versions),
        retired=tuple(file["path"] for version in made for file in version["retired"]),
        status={name: status[name] for name in ("state", "partitions", "units", "rows", "bytes", "files")},
    )


def table_of(store: Any, target: str) -> Table:
    found = {}
    for key in keys_of(store, target):
        table = pq.read_table(pa.BufferReader(store.read(key)))
        columns = [f"{field.name}: {field.type}" for field in table.schema]
        # What is added is named by its run, which is another each time.
        path = RUN_ID.sub("RUN", key[len(target) :])
        found[path] = (columns, [tuple(row.values()) for row in table.to_pylist()])
    return found


def rows_by_path(table: Table) -> dict[str, list[tuple[Any, ...]]]:
    """Without the paths that hold none."""
    return {path: rows for path, (_, rows) in table.items() if rows}


def _read(store: Any, key: str) -> Any:
    return json.loads(store.read(key).to_pybytes())


def _journal(store: Any, paths: RunPaths) -> list[dict[str, Any]]:
    """All entries, in order. The objects are numbered without a gap, and so are each driver's batches."""
    keys = keys_of(store, paths.journal)
    assert keys == [paths.journal_entry(number) for number in range(1, len(keys) + 1)]
    objects = [_read(store, key) for key in keys]
    batches: dict[str, list[int]] = {}
    for content in objects:
        if content["batch"]:
            batches.setdefault(content["driver"], []).append(content["batch"])
    for driver, numbers in batches.items():
        assert numbers == list(range(1, len(numbers) + 1)), f"batches of driver {driver}: {numbers}"
    return [entry for content in objects for entry in content["entries"]]


def _replayed(store: Any, paths: RunPaths, entries: Sequence[Mapping[str, Any]]) -> Ledger:
    """The ledger of the journal alone, which is the one that resuming reads (with snapshots)."""
    ledger = Ledger()
    for entry in entries:
        ledger.apply(entry)
    assert Checkpoint(store, paths).ledger == ledger, "the journal replays to something else"
    return ledger


def _first_decisions(entries: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """unit -> the entry that decided it, and was not taken back."""
    decided: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        if entry["kind"] in ("receipt", "split"):
            decided.setdefault(entry["unit"], entry)
        elif entry["kind"] == "redo":
            del decided[entry["unit"]]
    return decided


def _added_up(decisions: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for entry in decisions:
        total.update(entry.get("rows", {}))
    return _without_zeros(total)


def _without_zeros(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _versions(scene: Scene, store: Any) -> list[dict[str, Any]]:
    paths = TablePaths(scene.target.rstrip("/"))
    keys = keys_of(store, paths.versions)
    assert keys == [paths.version(number) for number in range(1, len(keys) + 1)]
    return [_read(store, key) for key in keys]


def _check_version(
    scene: Scene, store: Any, version: Mapping[str, Any], decided: Mapping[str, Mapping[str, Any]]
) -> None:
    """The paths are those of the version, and its new files are those of the attempts that count."""
    listed = store.page(scene.target).objects
    there = dict(zip(listed["key"].to_pylist(), listed["tag"].to_pylist(), strict=True))
    assert there == {scene.target + file["path"]: file["tag"] for file in version["files"]}
    receipts = {entry["attempt"]: entry for entry in decided.values() if entry["kind"] == "receipt"}
    rows: Counter[str] = Counter()
    new = [file for file in version["files"] if file["since"] == version["version"]]
    for file in new:
        if file["rows"]:
            rows[file["stamp"]] += file["rows"]
        else:
            _check_empty(store, scene.target + file["path"], file)
    assert {file["path"] for file in version["retired"]} <= {file["path"] for file in new}
    for attempt, entry in receipts.items():
        given = entry["rows"].get("out", 0) + entry["rows"].get("carried", 0)
        assert rows.pop(attempt, 0) == given, f"rows of attempt {attempt} in the version"
    assert not rows, f"attempts that do not count are in the version: {sorted(rows)}"


def _check_empty(store: Any, key: str, file: Mapping[str, Any]) -> None:
    """A path that is left without rows holds a file of the table's columns that no other version can have."""
    parquet = pq.ParquetFile(pa.BufferReader(store.read(key)))
    assert parquet.metadata.num_rows == 0
    assert parquet.schema_arrow.names
    assert parquet.schema_arrow.metadata[b"raybackfill.attempt"].decode() == file["stamp"]


def _check_kept(scene: Scene, store: Any, paths: RunPaths, version: Mapping[str, Any]) -> None:
    """What was replaced is kept as it was, and nothing else is."""
    assert scene.before is not None, "a scene is started first"
    end = ".previous"
    folder = paths.previous(version["version"], "")[: -len(end)].rstrip("/") + "/"
    kept = {key[len(folder) : -len(end)]: store.read(key).to_pybytes() for key in keys_of(store, folder)}
    replaced = {file["path"] for file in version["retired"]}
    emptied = {file["path"] for file in version["retired"] if file["rows"] == 0}
    assert kept == {path: data for path, data in scene.before.items() if path in replaced - emptied}
    untouched = {path: data for path, data in scene.before.items() if path not in replaced}
    for path, data in untouched.items():
        assert store.read(scene.target + path).to_pybytes() == data, f"{path} is not the run's to change"
