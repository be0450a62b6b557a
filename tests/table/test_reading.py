"""Readers of versions and of lists see one version whole, before, during and after a newer publish."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import raybackfill
from raybackfill.errors import IntegrityError, SpecError
from raybackfill.spec.values import StorageSpec
from raybackfill.storage.local import LocalStore
from raybackfill.storage.meter import Meter
from raybackfill.storage.s3 import S3Store
from raybackfill.table.view import View
from tests.cli.commands import command
from tests.faults.crashes import dies_within_publish
from tests.stores import backfill, this_process
from tests.table.lake import CONFIG, TARGET, Lake

Rows = list[tuple[str, int, int]]


def rows(dataset: Any) -> Rows:
    found = dataset.to_table().to_pylist()
    return sorted((row["dt"], row["id"], row["value"]) for row in found)


def by_paths(lake: Lake) -> Rows:
    return sorted((day[3:], *row) for day, found in lake.table().items() for row in found)


def listed(lake: Lake) -> Rows:
    """What Hive reads: the files that the lists of all partitions name."""
    found: Rows = []
    for key in lake.keys("/symlink/"):
        day = key.split("dt=")[1].split("/")[0]
        for line in lake.store.read(key).to_pybytes().decode().splitlines():
            table = pq.read_table(io.BytesIO(lake.store.read(line.removeprefix("memory://")).to_pybytes()))
            found += [(day, row["id"], row["value"]) for row in table.to_pylist()]
    return sorted(found)


@pytest.fixture
def lake() -> Iterator[Lake]:
    made = Lake()
    with this_process(made.store):
        yield made


def test_the_newest_version_is_read(lake: Lake) -> None:
    lake.run()
    found = raybackfill.read_table(TARGET)
    assert rows(found) == by_paths(lake) == listed(lake)
    assert found.schema.names == ["id", "value", "dt"]
    files = raybackfill.files(TARGET)
    assert [file["path"] for file in files] == [f"dt=2025-01-0{day}/part-00000.parquet" for day in (1, 2, 3)]
    assert [(file["rows"], file["since"]) for file in files] == [(2, 1), (2, 1), (None, 0)]
    assert all(file["uri"] == f"memory://{TARGET}/{file['path']}" for file in files)
    assert found.filter(ds.field("dt") == "2025-01-02").count_rows() == 2


def test_a_table_without_versions_says_so(lake: Lake) -> None:
    with pytest.raises(SpecError, match="no version yet"):
        raybackfill.read_table(TARGET)
    lake.run()
    with pytest.raises(SpecError, match="no version 7"):
        raybackfill.files(TARGET, version=7)


def test_a_version_stays_what_it_was_until_its_runs_are_closed(lake: Lake) -> None:
    first = lake.run()
    one = by_paths(lake)
    opened = raybackfill.read_table(TARGET)
    second = lake.run("others", by=5)
    two = by_paths(lake)
    assert one != two
    assert rows(opened) == one, "opened before the newer publish"
    assert rows(raybackfill.read_table(TARGET, version=1)) == one
    assert rows(raybackfill.read_table(TARGET)) == two == listed(lake)
    # What the first run staged goes; the second one keeps what it replaced of it.
    first.close()
    assert rows(raybackfill.read_table(TARGET, version=1)) == one
    second.close()
    assert rows(raybackfill.read_table(TARGET)) == two == listed(lake)
    with pytest.raises(IntegrityError, match="gone"):
        rows(raybackfill.read_table(TARGET, version=1))


def test_during_a_publish_a_reader_of_versions_sees_all_of_the_new_one(lake: Lake) -> None:
    """It stands from the moment that it is made, before any path shows it."""
    lake.run()
    old = by_paths(lake)
    with dies_within_publish():
        lake.run("others", by=5)
    new = rows(raybackfill.read_table(TARGET))
    assert new != old and by_paths(lake) not in (old, new), "the paths are in between"
    assert rows(raybackfill.read_table(TARGET, version=1)) == old
    assert listed(lake) == old, "lists follow once the paths are there"
    uris = {file["path"]: file["uri"] for file in raybackfill.files(TARGET)}
    assert any(uri.endswith(".staged") for uri in uris.values())
    lake.run("third", by=5, days=(3, 4))
    assert [row for row in rows(raybackfill.read_table(TARGET)) if row[0] < "2025-01-03"] == [
        row for row in new if row[0] < "2025-01-03"
    ]
    assert rows(raybackfill.read_table(TARGET)) == by_paths(lake) == listed(lake)


def test_after_a_rollback_readers_see_the_old_rows(lake: Lake) -> None:
    before = by_paths(lake)
    lake.run().rollback()
    assert rows(raybackfill.read_table(TARGET)) == before
    assert [row for row in listed(lake) if row[0] != "2025-01-02"] == before
    assert lake.store.read(lake.opened().paths.symlink("dt=2025-01-02")).to_pybytes() == b""


def test_lists_name_what_no_publish_changes_and_paths_after_closing(lake: Lake) -> None:
    run = lake.run()
    key = lake.opened().paths.symlink("dt=2025-01-01")
    (line,) = lake.store.read(key).to_pybytes().decode().splitlines()
    assert line.endswith(".staged")
    run.close()
    (line,) = lake.store.read(key).to_pybytes().decode().splitlines()
    assert line == f"memory://{TARGET}/dt=2025-01-01/part-00000.parquet"


def test_a_publisher_that_slept_does_not_bring_an_old_list_back(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks whether a newer version stands between its look at the list and its writing."""
    lake.run()
    version = lake.opened().newest()
    assert version is not None
    lake.run("others", by=5)
    found = listed(lake)
    View(lake.opened(), version).note_as_shown()
    assert listed(lake) == found == by_paths(lake)


class Switching:
    """Passes all on; before the second read of a file, something else happens once."""

    def __init__(self, store: Any, act: Callable[[], object]) -> None:
        self._store = store
        self._act = act
        self._reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(self, key: str, **options: Any) -> Any:
        if key.endswith(".parquet") and key.startswith(TARGET):
            self._reads += 1
            if self._reads == 3:
                self._act()
        return self._store.read(key, **options)


def test_a_file_that_is_replaced_while_it_is_read_is_read_on(lake: Lake) -> None:
    lake.run()
    one = by_paths(lake)
    switching = Switching(lake.store, lambda: lake.run("others", by=5))
    with this_process(switching):
        found = raybackfill.read_table(TARGET)
        assert rows(found) == one
    assert switching._reads >= 3 and by_paths(lake) != one


def test_the_command_lists_them(
    s3_storage: StorageSpec, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a config and from a URI; on S3, where URIs have a scheme."""
    store = S3Store(s3_storage, Meter())
    memory = Lake()
    for key in memory.keys("/"):
        store.put(s3_bucket + key, memory.store.read(key).to_pybytes())
    uri = f"s3://{s3_bucket}/lake"
    text = CONFIG.format(name="orders", by=2, start="2025-01-01", end="2025-01-03").replace(
        "/lake/", f"{uri}/"
    )
    storage = f"storage: {{endpoint_url: '{s3_storage.endpoint_url}', region: us-east-1}}"
    text = text.replace("uri: s3://", f"{storage}, uri: s3://")
    (tmp_path / "orders.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert command("run", "orders.yaml", "--engine", "inline").exit_code == 0
    document = json.loads(command("files", "orders.yaml", "--json").out)
    assert document["format"] == "files/1" and document["table"]["version"] == 1
    assert [file["uri"] for file in document["files"]] == [
        f"{uri}/gold/orders/dt=2025-01-0{day}/part-00000.parquet" for day in (1, 2, 3)
    ]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_storage.endpoint_url or "")
    printed = command("files", f"{uri}/gold/orders", "--version", "1")
    assert (printed.exit_code, printed.out.split()) == (0, [file["uri"] for file in document["files"]])
    found = raybackfill.read_table(f"{uri}/gold/orders", storage=s3_storage)
    assert found.count_rows() == 6


def test_on_a_local_disk(tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    store = LocalStore(Meter(), scratch=f"{root}/gold/_raybackfill/.tmp")
    memory = Lake()
    for key in memory.keys("/"):
        store.put(str(tmp_path) + key, memory.store.read(key).to_pybytes())

    def run(by: int) -> None:
        text = CONFIG.format(name=f"by{by}", by=by, start="2025-01-01", end="2025-01-03")
        backfill(text.replace("/lake/", f"{root}/"), tmp_path).run(engine="inline")

    run(2)
    opened = raybackfill.read_table(f"{root}/gold/orders")
    first = rows(opened)
    run(5)
    assert rows(opened) == first != rows(raybackfill.read_table(f"{root}/gold/orders"))
