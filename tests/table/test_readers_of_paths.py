"""Who lists and reads paths while publishes go on sees each partition of one file old or new, never both or neither."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.errors import IntegrityError
from raybackfill.spec.values import StorageSpec
from raybackfill.storage import ObjectStore
from raybackfill.storage.local import LocalStore
from raybackfill.storage.meter import Meter
from raybackfill.storage.s3 import S3Store
from tests.stores import backfill, this_process

DAYS = ("2025-01-01", "2025-01-02", "2025-01-03")
ROUNDS = 6
CONFIG = """
name: round{round}
source: {{uri: {root}/raw, path: "dt={{dt:%Y-%m-%d}}/*"}}
transform: {{sql: "select id, {round} as round, dt from input"}}
target: {{uri: {root}/gold/orders, partition_by: [dt]}}
shrink: 100%
"""


def write(store: ObjectStore, key: str, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    store.put(key, sink.getvalue().to_pybytes())


class Reader(threading.Thread):
    """Lists the table and reads it, again and again; `seen` are the rounds in each day, a set each time."""

    def __init__(self, store: ObjectStore, target: str) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._target = target
        self.stop = threading.Event()
        self.seen: list[dict[str, list[int]]] = []
        self.broke: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.seen.append(self._look())
        except BaseException as error:
            self.broke = error

    def _look(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row in self._store.page(self._target).objects.to_pylist():
            rounds = self._rounds(row)
            if rounds:
                day = row["key"][len(self._target) :].split("/")[0]
                found[day] = found.get(day, []) + rounds
        return found

    def _rounds(self, row: dict[str, Any]) -> list[int]:
        """Of a file as it is when it is opened: readers of paths do not pin."""
        for _ in range(10):
            info = self._store.head(row["key"])
            assert info is not None, f"{row['key']} was listed and is gone"
            try:
                table = pq.ParquetFile(self._store.open(info, whole=True)).read()
            except IntegrityError:
                continue
            rounds: list[int] = table["round"].unique().to_pylist()
            assert table.num_rows in (0, 4), "a file is whole"
            return rounds
        raise AssertionError("it changes too often")


def check_readers(store: ObjectStore, root: str, uri: str) -> None:
    """Publish round after round, and look at all that was seen."""
    target = f"{root}/gold/orders/"
    for day in DAYS:
        write(store, f"{root}/raw/dt={day}/a.parquet", pa.table({"id": range(4)}))
    reader = Reader(store, target)
    with this_process(store):
        backfill(CONFIG.format(round=0, root=uri)).run(engine="inline")
        # Two more files of a day that has one from then on: what is surplus is left without rows.
        for extra in ("part-00001", "part-00002"):
            write(
                store, f"{target}dt={DAYS[0]}/{extra}.parquet", pa.table({"id": range(4), "round": [0] * 4})
            )
        reader.start()
        for number in range(1, ROUNDS):
            assert backfill(CONFIG.format(round=number, root=uri)).run(engine="inline").exit_code == 0
    reader.stop.set()
    reader.join(60)
    assert reader.broke is None, repr(reader.broke)
    assert not reader.is_alive()
    assert len(reader.seen) > ROUNDS
    for found in reader.seen:
        for day in DAYS[1:]:
            assert len(found[f"dt={day}"]) == 1, "one round or another, never both or neither"
        assert found[f"dt={DAYS[0]}"], "some rows of the day are always there"
    rounds = {found[f"dt={DAYS[1]}"][0] for found in reader.seen}
    assert len(rounds) > 1, "a reader saw the table change"
    assert reader._look() == {f"dt={day}": [ROUNDS - 1] for day in DAYS}


def test_on_a_local_disk(tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    store = LocalStore(Meter(), scratch=f"{root}/gold/_raybackfill/.tmp")
    check_readers(store, root, root)


def test_on_s3(s3_storage: StorageSpec, s3_bucket: str) -> None:
    check_readers(S3Store(s3_storage), f"{s3_bucket}/lake", f"s3://{s3_bucket}/lake")


@pytest.mark.parametrize("engine", ["polars", "duckdb", "pyarrow"])
def test_engines_read_a_table_with_empty_files(engine: str, tmp_path: Path) -> None:
    """Polars and DuckDB globs and pyarrow's datasets take a file without rows for what it is."""
    root = str(tmp_path / "lake")
    store = LocalStore(Meter(), scratch=f"{root}/gold/_raybackfill/.tmp")
    for day in DAYS:
        write(store, f"{root}/raw/dt={day}/a.parquet", pa.table({"id": range(4)}))
        write(store, f"{root}/gold/orders/dt={day}/a-spark.parquet", pa.table({"id": [7], "round": [9]}))
    with this_process(store):
        backfill(CONFIG.format(round=1, root=root)).run(engine="inline")
    files = sorted((tmp_path / "lake/gold/orders").rglob("*.parquet"))
    assert [pq.read_metadata(file).num_rows for file in files] == [0, 4] * 3
    assert _rows(engine, f"{root}/gold/orders") == 12


def _rows(engine: str, target: str) -> int:
    if engine == "polars":
        polars = pytest.importorskip("polars")
        return int(polars.scan_parquet(f"{target}/**/*.parquet").collect().height)
    if engine == "duckdb":
        duckdb = pytest.importorskip("duckdb")
        query = f"select count(*) from read_parquet('{target}/**/*.parquet', hive_partitioning=true)"
        return int(duckdb.sql(query).fetchall()[0][0])
    from pyarrow import dataset

    return int(dataset.dataset(target, partitioning="hive").count_rows())
