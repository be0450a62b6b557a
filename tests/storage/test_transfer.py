"""Copies between stores carry exactly the object that was meant."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from raybackfill.errors import IntegrityError
from raybackfill.storage import ObjectInfo, ObjectStore
from raybackfill.storage.local import LocalStore
from raybackfill.storage.memory import MemoryStore
from raybackfill.storage.meter import Meter
from raybackfill.storage.transfer import copy_object
from tests.storage.conftest import Place


def made(store: ObjectStore, key: str, data: bytes) -> ObjectInfo:
    upload = store.upload(key, stamp="unit-1")
    upload.write(data)
    return upload.commit()


@pytest.mark.parametrize("size", [0, 5, 20 * 1024 * 1024 + 3])
def test_from_and_to_every_store(place: Place, size: int) -> None:
    data = os.urandom(size)
    other = MemoryStore()
    source = made(other, "b/source", data)
    copied = copy_object(other, source, place.store, place.root + "deep/copy")
    assert copied is not None and place.store.head(copied.key) == copied
    assert copied.stamp == ("" if place.store.scheme == "file" else "unit-1")
    back = copy_object(place.store, copied, other, "b/back")
    assert back is not None and other.read(back.key).equals(pa.py_buffer(data))


def test_within_a_store_nothing_is_read() -> None:
    meter = Meter()
    store = MemoryStore(meter)
    source = made(store, "b/source", b"x" * 100)
    copied = copy_object(store, source, store, "b/copy")
    assert copied == ObjectInfo("b/copy", 100, source.tag, "unit-1")
    assert meter.snapshot()["bytes_read"] == 0 and meter.snapshot()["copy"] == 1


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("size", [0, 10])
def test_a_source_that_changed_is_refused(same: bool, size: int) -> None:
    store, other = MemoryStore(), MemoryStore()
    source = made(store, "b/source", b"x" * size)
    made(store, "b/source", b"y" * size)
    target = store if same else other
    with pytest.raises(IntegrityError) as caught:
        copy_object(store, source, target, "b/copy")
    assert caught.value.exit_code == 4 and target.head("b/copy") is None
    store.delete("b/source")
    with pytest.raises(IntegrityError):
        copy_object(store, source, target, "b/copy")


def test_create_finds_what_is_there(place: Place) -> None:
    other = MemoryStore()
    source = made(other, "b/source", b"new")
    key = place.root + "target"
    assert copy_object(other, source, place.store, key, create=True) is not None
    again = made(other, "b/source", b"newer")
    assert copy_object(other, again, place.store, key, create=True) is None
    assert place.store.read(key).to_pybytes() == b"new"


def test_memory_stays_bounded(tmp_path: Path) -> None:
    one, two = LocalStore(), LocalStore()
    source = made(one, f"{tmp_path}/source", b"x" * 100_000_000)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    assert copy_object(one, source, two, f"{tmp_path}/copy") is not None
    _, python_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert python_bytes < 20_000_000 and pa.total_allocated_bytes() - before < 20_000_000
