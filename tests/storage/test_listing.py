"""Listings are complete, in order, cheap in requests and small in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raybackfill.errors import TransientError
from raybackfill.storage import LISTING, Page
from raybackfill.storage.listing import list_objects
from raybackfill.storage.memory import MemoryStore
from raybackfill.storage.meter import Meter
from tests.storage.conftest import Place


def everything(_: str) -> bool:
    return True


def filled(names: list[str], meter: Meter | None = None) -> MemoryStore:
    store = MemoryStore(meter, page_objects=100)
    for name in names:
        store.put(name, b"x")
    return store


def test_every_store_lists_the_same_way(place: Place) -> None:
    names = [
        f"dt=2025-{month:02}-{day:02}/part-{part}"
        for month in (1, 2)
        for day in range(1, 11)
        for part in (0, 1)
    ]
    for name in ["readme.txt", "dt=2025-01-03.txt", *names]:
        place.store.put(place.root + name, b"x")
    found = list_objects(place.store, place.root, lambda folder: not folder.endswith("-05/"))
    expected = [
        place.root + name for name in ["readme.txt", "dt=2025-01-03.txt", *names] if "-05/" not in name
    ]
    assert found.schema == LISTING
    assert found["key"].to_pylist() == sorted(expected)


def test_a_prefix_with_nothing_below_it() -> None:
    assert list_objects(filled([]), "b/none/", everything).equals(LISTING.empty_table())


def test_single_folders_are_passed_through() -> None:
    names = [f"b/lake/raw/orders/dt={day:02}/f" for day in range(20)]
    asked: list[str] = []
    found = list_objects(
        filled(names),
        "b/lake/",
        lambda folder: bool(asked.append(folder)) or "dt=1" in folder or "dt=" not in folder,
    )
    assert found["key"].to_pylist() == names[10:]
    assert asked[:2] == ["b/lake/raw/", "b/lake/raw/orders/"]


def test_a_folder_dropped_above_stays_dropped() -> None:
    """Short prefixes for many folders must not bring back what was dropped a level higher."""
    names = [f"b/region={region}/dt={day:03}/f" for region in ("ea", "eb", "ec") for day in range(300)]
    found = list_objects(
        filled(names), "b/", lambda folder: folder != "b/region=eb/" and "dt=100" not in folder
    )
    assert found["key"].to_pylist() == [n for n in names if "region=eb" not in n and "dt=100" not in n]


@pytest.mark.parametrize("keep_every", [1, 2, 7])
def test_many_small_folders_cost_few_requests(keep_every: int) -> None:
    names = sorted(f"b/t/dt={day:05}/hour={hour}" for day in range(5000) for hour in (0, 1))
    meter = Meter()
    store = filled(names, meter)
    found = list_objects(store, "b/t/", lambda folder: int(folder[-6:-1]) % keep_every == 0)
    assert found["key"].to_pylist() == [name for name in names if int(name[7:12]) % keep_every == 0]
    if keep_every <= 2:
        assert meter.snapshot()["list"] < 1000


def test_objects_beside_folders_are_listed_once() -> None:
    names = [f"b/x{number:03}/f" for number in range(300)] + [f"b/x{number:03}.txt" for number in range(300)]
    found = list_objects(filled(names), "b/", everything)
    assert found["key"].to_pylist() == sorted(names)


def test_a_failing_page_fails_the_listing() -> None:
    class Failing(MemoryStore):
        def page(self, prefix: str, *, after: str | None = None, folders: bool = False) -> Page:
            if "dt=17" in prefix:
                raise TransientError("no answer")
            return super().page(prefix, after=after, folders=folders)

    store = Failing()
    for day in range(30):
        store.put(f"b/dt={day}/f", b"x")
    with pytest.raises(TransientError):
        list_objects(store, "b/", everything)


class Endless(MemoryStore):
    """A table of 1,000 days with 1,000 objects each, whose pages are made when asked for."""

    def page(self, prefix: str, *, after: str | None = None, folders: bool = False) -> Page:
        days = [
            day for day in (f"bucket/table/dt=day-{n:04}/" for n in range(1000)) if day.startswith(prefix)
        ]
        if folders and prefix == "bucket/table/":
            return Page(LISTING.empty_table(), tuple(days), None)
        at = 0 if after is None else int(after)
        return Page(objects_of(days[at]), (), str(at + 1) if at + 1 < len(days) else None)


def objects_of(folder: str) -> pa.Table:
    numbers = pa.array(range(1000), pa.int64())
    padded = pc.utf8_lpad(numbers.cast(pa.string()), 5, "0")
    keys = pc.binary_join_element_wise(
        folder, pc.binary_join_element_wise("part-", padded, ".parquet", ""), ""
    )
    tags = pc.binary_join_element_wise("d41d8cd98f00b204e9800998ecf", padded, "")
    times = numbers.cast(pa.timestamp("us", "UTC"))
    return pa.table({"key": keys, "size": numbers, "tag": tags, "modified": times}, schema=LISTING)


MEASURED = pa.proxy_memory_pool(pa.default_memory_pool())
"""Kept for good: arrays hold on to their pool without counting as its owners."""


@contextmanager
def measured_pool() -> Iterator[pa.MemoryPool]:
    usual = pa.default_memory_pool()
    pa.set_memory_pool(MEASURED)
    try:
        yield MEASURED
    finally:
        pa.set_memory_pool(usual)


def test_a_million_objects_stay_small() -> None:
    list_objects(Endless(), "bucket/table/dt=day-0001/", everything)
    with measured_pool() as pool:
        tracemalloc.start()
        found = list_objects(Endless(), "bucket/table/", everything)
        _, python_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        arrow_bytes = pool.max_memory()
    assert found.num_rows == 1_000_000
    keys = found["key"]
    assert keys[0].as_py() < keys[1].as_py() and pc.count_distinct(keys).as_py() == 1_000_000
    assert arrow_bytes < 250 * 1_000_000
    assert python_bytes < 30 * 1_000_000
