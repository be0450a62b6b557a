"""The three stores, each with a root that is empty at first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from raybackfill.storage import ObjectStore
from raybackfill.storage.local import LocalStore
from raybackfill.storage.memory import MemoryStore
from raybackfill.storage.meter import Meter
from raybackfill.storage.s3 import S3Store


@dataclass(frozen=True)
class Place:
    """A store to test, and a prefix in it (ending in "/") that is the test's own."""

    store: ObjectStore
    root: str
    meter: Meter
    endpoint_url: str = ""


@pytest.fixture(params=["memory", "local", "local_without_scratch", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    meter = Meter()
    kind = request.param
    if kind == "memory":
        return Place(MemoryStore(meter, page_objects=5), "bucket/root/", meter)
    if kind == "local":
        (tmp_path / "table").mkdir()
        return Place(LocalStore(meter, scratch=str(tmp_path / "scratch")), f"{tmp_path}/table/", meter)
    if kind == "local_without_scratch":
        return Place(LocalStore(meter), f"{tmp_path}/", meter)
    storage, bucket = request.getfixturevalue("s3_storage"), request.getfixturevalue("s3_bucket")
    return Place(S3Store(storage, meter), f"{bucket}/root/", meter, storage.endpoint_url)
