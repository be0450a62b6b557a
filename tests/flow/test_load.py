"""Load: each row in exactly one staged file of its own folder, in order, whatever the batches were."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.flow.load import Loader, split_by_folder
from raybackfill.storage.memory import MemoryStore
from raybackfill.targets import FileWriter
from raybackfill.targets.parquet import ParquetTarget

SCHEMA = pa.schema([("n", pa.int64())])


def folders(table: pa.Table) -> pa.DictionaryArray:
    return pa.array([f"k={key}" for key in table["key"].to_pylist()], pa.string()).dictionary_encode()


class Staging:
    """A loader over memory, and what it staged, read back."""

    def __init__(self, *, sort_by: tuple[str, ...] = (), file_size: int = 10**9, buffer: int = 10**9) -> None:
        self.store = MemoryStore()
        self._numbers = iter(range(10**6))
        self.loader = Loader(
            SCHEMA, self._begin, sort_by=sort_by, file_size=file_size, buffer_bytes_max=buffer
        )

    def add(self, table: pa.Table) -> None:
        self.loader.add(table, folders(table))

    def _begin(self) -> FileWriter:
        key = f"part-{next(self._numbers):05d}"
        return ParquetTarget().writer(self.store.upload(key, stamp="a"), SCHEMA, stamp="a")

    def files(self) -> Iterator[tuple[str, list[int]]]:
        for file in self.loader.finish():
            values = pq.read_table(pa.BufferReader(self.store.read(file.key)))["n"].to_pylist()
            assert file.rows == len(values)
            assert file.size == len(self.store.read(file.key))
            yield file.partition, values


batches = st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), max_size=30), max_size=8)


def tables_of(parts: list[list[tuple[str, int]]]) -> list[pa.Table]:
    schema = pa.schema([("key", pa.string()), ("n", pa.int64())])
    return [
        pa.table({"key": [k for k, _ in rows], "n": [n for _, n in rows]}, schema=schema) for rows in parts
    ]


@given(batches, st.sampled_from([1, 200, 10**9]))
def test_every_row_is_in_its_folder_in_order(parts: list[list[tuple[str, int]]], buffer: int) -> None:
    staging = Staging(buffer=buffer)
    for table in tables_of(parts):
        staging.add(table)
    found: dict[str, list[int]] = {}
    for folder, values in staging.files():
        assert folder not in found, "one file a folder, as long as it is not full"
        found[folder] = values
    rows = [row for part in parts for row in part]
    assert found == {f"k={key}": [n for k, n in rows if k == key] for key in {k for k, _ in rows}}


@given(batches)
def test_sorted_files_are_sorted(parts: list[list[tuple[str, int]]]) -> None:
    staging = Staging(sort_by=("n",), buffer=500)
    for table in tables_of(parts):
        staging.add(table)
    found: dict[str, list[int]] = {}
    for folder, values in staging.files():
        assert values == sorted(values)
        found.setdefault(folder, []).extend(values)
    assert {k: sorted(v) for k, v in found.items()} == {
        f"k={key}": sorted(n for part in parts for k, n in part if k == key)
        for key in {k for part in parts for k, _ in part}
    }


def test_a_full_file_is_followed_by_another() -> None:
    staging = Staging(file_size=1, buffer=1)
    for start in range(3):
        staging.add(tables_of([[("a", start)]])[0])
    assert list(staging.files()) == [("k=a", [0]), ("k=a", [1]), ("k=a", [2])]


def test_abort_leaves_nothing_visible() -> None:
    staging = Staging(buffer=1)
    staging.add(tables_of([[("a", 1), ("b", 2)]])[0])
    staging.loader.abort()
    assert staging.store.page("").objects.num_rows == 0


def test_one_folder_costs_no_copy() -> None:
    table = tables_of([[("a", 1), ("a", 2)]])[0]
    ((name, rows),) = split_by_folder(table, folders(table))
    assert (name, rows is table) == ("k=a", True)
