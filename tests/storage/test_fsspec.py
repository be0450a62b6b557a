"""Reading through fsspec: what an ObjectStore promises of reads, and a run whose source lies there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill import wiring
from raybackfill.errors import IntegrityError, RaybackfillError, SpecError, TransientError
from raybackfill.spec import StorageSpec
from raybackfill.storage import LISTING, ObjectInfo
from raybackfill.storage.listing import list_objects
from raybackfill.storage.meter import Meter
from raybackfill.storage.pins import modified_microseconds, tag_of
from tests import stores

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
from raybackfill.storage.fsspec import FsspecStore  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture
def root() -> Iterator[str]:
    """A new folder of fsspec's memory, as the beginning of keys."""
    name = f"test-{next(_numbers)}"
    yield f"{name}/"
    if fsspec.filesystem("memory").exists(f"/{name}"):
        fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


@pytest.fixture
def store() -> FsspecStore:
    return FsspecStore("memory", page_objects=5)


def put(key: str, data: bytes = b"data") -> None:
    fsspec.filesystem("memory").pipe_file(f"/{key}", data)


def made(store: FsspecStore, key: str, data: bytes = b"data") -> ObjectInfo:
    put(key, data)
    info = store.head(key)
    assert info is not None
    return info


def listed(store: FsspecStore, prefix: str, folders: bool = False) -> tuple[list[str], list[str], int]:
    """All pages: keys, folders, and how many pages there were."""
    keys: list[str] = []
    found: list[str] = []
    after: str | None = None
    for count in itertools.count(1):
        page = store.page(prefix, after=after, folders=folders)
        assert page.objects.schema == LISTING
        assert page.objects.num_rows + len(page.folders) <= 5
        keys += page.objects["key"].to_pylist()
        found += page.folders
        after = page.after
        if after is None:
            return keys, found, count
    raise AssertionError("unreachable")


def refused(kind: type[RaybackfillError], work: Callable[[], object]) -> RaybackfillError:
    with pytest.raises(kind) as caught:
        work()
    assert caught.value.where and caught.value.next
    return caught.value


def gone_or_changed(work: Callable[[], object]) -> str:
    error = refused(IntegrityError, work)
    assert error.exit_code == 4
    return error.message


def test_pages_are_in_the_order_of_keys(store: FsspecStore, root: str) -> None:
    names = ["a.txt", "a/b", "a/c/d", "a0", "b", "z/1", "z/2", "z/3", "ä", "日", "𝄞"]
    for name in reversed(names):
        put(root + name)
    keys, _, pages = listed(store, root)
    assert keys == [root + name for name in names]
    assert pages == 3


def test_folders_are_given_once_over_pages(store: FsspecStore, root: str) -> None:
    for number in range(7):
        for name in ("x", "y", "z/deep"):
            put(f"{root}folder-{number}/{name}")
        put(f"{root}folder-{number}.txt")
    keys, folders, pages = listed(store, root, folders=True)
    assert folders == [f"{root}folder-{number}/" for number in range(7)]
    assert keys == [f"{root}folder-{number}.txt" for number in range(7)]
    assert pages == 3
    assert len(listed(store, root)[0]) == 28


def test_a_prefix_may_end_within_a_name(store: FsspecStore, root: str) -> None:
    for name in ("dt=2024-12-31/f", "dt=2025-01-01/f", "dt=2025-01-02/g/h", "dt=2025.txt", "other"):
        put(root + name)
    keys, _, _ = listed(store, root + "dt=2025")
    assert keys == [root + name for name in ("dt=2025-01-01/f", "dt=2025-01-02/g/h", "dt=2025.txt")]
    keys, folders, _ = listed(store, root + "dt=2025", folders=True)
    assert keys == [root + "dt=2025.txt"]
    assert folders == [root + "dt=2025-01-01/", root + "dt=2025-01-02/"]


def test_nothing_below_a_prefix_is_an_empty_page(store: FsspecStore, root: str) -> None:
    put(root + "file")
    for prefix in ("no/such/folder/", "file/", "nothing"):
        for folders in (True, False):
            assert listed(store, root + prefix, folders) == ([], [], 1)


def test_a_listing_begins_anew_and_goes_on_from_any_key(store: FsspecStore, root: str) -> None:
    for number in range(8):
        put(f"{root}{number}")
    first = store.page(root)
    assert first.after == f"{root}4"
    put(f"{root}9")
    again = FsspecStore("memory").page(root, after=first.after)
    assert again.objects["key"].to_pylist() == [f"{root}{number}" for number in (5, 6, 7, 9)]
    assert len(listed(store, root)[0]) == 9
    assert store._listed == {}, "a listing that was given whole is not kept"


def test_a_page_describes_its_objects_as_a_look_does(store: FsspecStore, root: str) -> None:
    infos = {key: made(store, key, b"x" * n) for n, key in enumerate((root + "a", root + "b/c", root + "d"))}
    for row in store.page(root).objects.to_pylist():
        info = infos.pop(row["key"])
        assert (row["size"], row["tag"]) == (info.size, info.tag)
        assert (datetime.now(UTC) - row["modified"]).total_seconds() < 3600
    assert infos == {}


def test_many_folders_are_listed_in_parallel_without_loss(root: str) -> None:
    expected = [f"{root}month={month:02}/day={day:02}/f" for month in range(20) for day in range(6)]
    for key in expected:
        put(key)
    store = FsspecStore("memory", page_objects=3)
    assert list_objects(store, root)["key"].to_pylist() == expected

    def keep(folder: str) -> bool:
        return not folder.endswith("month=03/")

    kept = [key for key in expected if "month=03" not in key]
    assert list_objects(store, root, keep)["key"].to_pylist() == kept


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (8, 100, b"89"),
        (10, None, b""),
        (11, 5, b""),
        (4, 0, b""),
        (-3, None, b"789"),
        (-500, None, b"0123456789"),
        (-4, 2, b"67"),
        (-500, 2, b"01"),
    ],
)
def test_ranges(store: FsspecStore, root: str, offset: int, size: int | None, expected: bytes) -> None:
    info = made(store, root + "digits", b"0123456789")
    assert store.read(info.key, offset=offset, size=size, tag=info.tag).to_pybytes() == expected
    assert store.read(info.key, offset=offset, size=size).to_pybytes() == expected
    gone_or_changed(lambda: store.read(info.key, offset=offset, size=size, tag="another"))


def test_an_empty_object(store: FsspecStore, root: str) -> None:
    info = made(store, root + "empty", b"")
    for offset, size in ((0, None), (-8, None), (0, 5), (5, None)):
        assert len(store.read(info.key, offset=offset, size=size, tag=info.tag)) == 0
    for whole in (True, False):
        assert store.open(info, whole=whole).read() == b""


def test_what_changed_or_went_is_not_read(store: FsspecStore, root: str) -> None:
    info = made(store, root + "a", b"0123456789")
    late = store.open(info, whole=False)
    put(info.key, b"9876543210")
    assert "changed since the plan" in gone_or_changed(lambda: store.read(info.key, tag=info.tag))
    assert "changed" in gone_or_changed(lambda: store.open(info, whole=True))
    gone_or_changed(late.read)
    fsspec.filesystem("memory").rm_file(f"/{info.key}")
    assert gone_or_changed(lambda: store.read(info.key, tag=info.tag)) == "the object is gone"
    assert store.head(info.key) is None
    assert store.head(root + "a/below") is None


def test_a_change_while_it_is_read_is_seen(
    store: FsspecStore, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = made(store, root + "a", b"0123456789")
    memory = type(fsspec.filesystem("memory"))
    fetch = memory.cat_file

    def replaced_meanwhile(self: Any, path: str, **options: Any) -> bytes:
        put(info.key, b"98765")
        data: bytes = fetch(self, path, **options)
        return data

    monkeypatch.setattr(memory, "cat_file", replaced_meanwhile)
    assert "changed" in gone_or_changed(lambda: store.read(info.key, offset=2, size=3, tag=info.tag))


def test_a_file_has_random_access(store: FsspecStore, root: str) -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"n": range(10_000)})
    pq.write_table(table, sink)
    info = made(store, root + "t.parquet", sink.getvalue().to_pybytes())
    for whole in (True, False):
        with store.open(info, whole=whole) as file:
            assert file.size() == info.size
            assert pq.read_table(file).equals(table)


def test_the_meter_counts_calls_and_bytes(root: str) -> None:
    put(root + "a/b", b"0123456789")
    meter = Meter()
    store = FsspecStore("memory", meter)
    store.page(root)
    assert meter.snapshot()["list"] == 2, "one a folder"
    store.read(root + "a/b", size=4)
    assert (meter.snapshot()["get"], meter.snapshot()["bytes_read"]) == (1, 4)


def test_nothing_is_written(store: FsspecStore, root: str) -> None:
    told = "read-only: a target and its state need s3:// or a local folder"
    for work in (
        lambda: store.put(root + "a", b""),
        lambda: store.upload(root + "a", stamp=""),
        lambda: store.copy(root + "a", root + "b"),
        lambda: store.delete(root + "a"),
    ):
        assert told in refused(SpecError, work).message
    assert listed(store, root) == ([], [], 1)


class Scripted(fsspec.AbstractFileSystem):
    """A filesystem that states what a test says: path -> info, or an error to raise."""

    protocol = "scripted"
    cachable = False
    objects: ClassVar[dict[str, dict[str, Any] | Exception]] = {}
    listings: ClassVar[dict[str, list[dict[str, Any]] | Exception]] = {}
    data: bytes = b""
    ranges = True

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        found = self.objects.get(path, FileNotFoundError(path))
        if isinstance(found, Exception):
            raise found
        return {"name": path, "type": "file", "size": len(self.data), **found}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[dict[str, Any]]:
        found = self.listings.get(path, FileNotFoundError(path))
        if isinstance(found, Exception):
            raise found
        return found

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        self.info(path)
        return self.data[start:end] if self.ranges else self.data


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    fsspec.register_implementation("scripted", Scripted, clobber=True)
    for name, value in (("objects", {}), ("listings", {}), ("data", b"0123456789"), ("ranges", True)):
        monkeypatch.setattr(Scripted, name, value)
    return Scripted


def test_an_object_without_a_changing_fact_is_refused(scripted: type[Scripted]) -> None:
    scripted.objects["b/x"] = {"created": datetime(2025, 1, 1, tzinfo=UTC)}
    scripted.listings["b"] = [{"name": "b/x", "type": "file", "size": 10}]
    store = FsspecStore("scripted")
    for work in (lambda: store.head("b/x"), lambda: store.page("b/")):
        error = refused(SpecError, work)
        assert "cannot be pinned" in error.message and error.where == "scripted://b/x"
    scripted.objects["b/x"] = {"etag": "e", "size": None}
    assert "its size" in refused(SpecError, lambda: store.head("b/x")).message


def test_a_filesystems_own_key_pins(scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.objects["b/x"] = {}
    monkeypatch.setattr(scripted, "ukey", lambda self, path: "k1", raising=False)
    info = FsspecStore("scripted").head("b/x")
    assert info is not None and info.tag == "ukey:k1"


def test_a_listing_that_says_less_than_a_look_pins_too(scripted: type[Scripted]) -> None:
    written = datetime(2025, 1, 1, tzinfo=UTC)
    entry = {"name": "b/x", "type": "file", "size": 10, "mtime": written}
    scripted.listings["b"] = [entry, {"name": "b", "type": "directory", "size": 0}]
    scripted.objects["b/x"] = {"mtime": written, "etag": '"e1"'}
    store = FsspecStore("scripted")
    (row,) = store.page("b/").objects.to_pylist()
    assert row["modified"] == written
    assert store.read("b/x", size=3, tag=row["tag"]).to_pybytes() == b"012"
    scripted.objects["b/x"] = {"mtime": datetime(2025, 1, 2, tzinfo=UTC), "etag": '"e1"'}
    gone_or_changed(lambda: store.read("b/x", tag=row["tag"]))


def test_a_server_without_ranges(scripted: type[Scripted]) -> None:
    scripted.objects["b/x"] = {"etag": "e1"}
    scripted.ranges = False
    store = FsspecStore("scripted")
    assert store.read("b/x", offset=2, size=3).to_pybytes() == b"234"
    scripted.objects["b/x"] = {"etag": "e1", "size": 100}
    assert "10 came" in refused(TransientError, lambda: store.read("b/x", offset=2, size=30)).message


def test_a_folder_that_cannot_be_listed_is_not_passed_over(scripted: type[Scripted]) -> None:
    store = FsspecStore("scripted")
    scripted.listings["b"] = [{"name": f"b/{name}", "type": "directory", "size": 0} for name in "xyz"]
    assert store.page("b/").objects.num_rows == 0, "folders that went meanwhile hold nothing"
    scripted.listings["b/y"] = PermissionError("denied")
    assert refused(SpecError, lambda: store.page("b/")).where == "scripted://b/y"
    scripted.listings["b/y"] = OSError("reset")
    assert refused(TransientError, lambda: store.page("b/")).where == "scripted://b/y"


def test_foreign_errors_are_translated(scripted: type[Scripted]) -> None:
    store = FsspecStore("scripted")
    scripted.objects["b/x"] = PermissionError("denied")
    assert refused(SpecError, lambda: store.head("b/x")).where == "scripted://b/x"
    scripted.objects["b/x"] = RuntimeError("reset by peer")
    assert "reset by peer" in refused(TransientError, lambda: store.head("b/x")).message
    disguised = FileNotFoundError("b/x")
    disguised.__cause__ = ConnectionError("no route")
    scripted.objects["b/x"] = disguised
    assert "no route" in refused(TransientError, lambda: store.head("b/x")).message
    refused(TransientError, lambda: store.read("b/x", size=3))


class RepliedError(Exception):
    """An error of a web client: aiohttp's has `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status}")
        self.status = status


def test_what_a_web_server_replied_decides(scripted: type[Scripted]) -> None:
    store = FsspecStore("scripted")
    error = FileNotFoundError("b/x")
    scripted.objects["b/x"] = error
    error.__cause__ = RepliedError(404)
    assert store.head("b/x") is None
    error.__cause__ = RepliedError(403)
    assert "no permission" in refused(SpecError, lambda: store.head("b/x")).message
    error.__cause__ = RepliedError(503)
    refused(TransientError, lambda: store.head("b/x"))


def test_links_and_odd_names_are_not_lost(scripted: type[Scripted]) -> None:
    store = FsspecStore("scripted")
    scripted.listings["b"] = [{"name": "b/link", "type": "link", "size": 3}]
    scripted.objects["b/link"] = {"etag": "e1"}
    assert store.page("b/").objects["size"].to_pylist() == [10]
    scripted.objects["b/link"] = {"type": "directory"}
    assert "a link" in refused(SpecError, lambda: store.page("b/")).message
    scripted.listings["b"] = [{"name": "elsewhere/x", "type": "file", "size": 3, "etag": "e"}]
    assert "elsewhere/x" in refused(SpecError, lambda: store.page("b/")).message


def test_the_web_has_files_and_no_folders() -> None:
    error = refused(SpecError, lambda: FsspecStore("https").page("example.org/data/"))
    assert "does not list folders" in error.message


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"ETag": '"a"', "mtime": 1.5, "size": 3}, "etag:a"),
        ({"etag": 'W/"a"'}, "etag:a"),
        ({"md5Hash": "m", "generation": "7"}, "md5:m"),
        ({"generation": "7", "updated": "2025"}, "generation:7"),
        ({"mtime": 1.5, "size": 3}, "mtime:1500000-3"),
        ({"modificationTime": 1_735_689_600_000, "size": 3}, "mtime:1735689600000000-3"),
        ({"last_modified": datetime(2025, 1, 1, tzinfo=UTC), "size": 3}, "mtime:1735689600000000-3"),
        ({"Last-Modified": "Wed, 01 Jan 2025", "size": 3}, "mtime:Wed, 01 Jan 2025-3"),
        ({"mtime": 0, "size": 3, "etag": ""}, None),
        ({"name": "x", "size": 3, "created": 1.5}, None),
    ],
)
def test_the_surest_fact_is_the_tag(info: dict[str, Any], expected: str | None) -> None:
    assert tag_of(info) == expected


def test_a_tag_of_a_kind_and_a_time() -> None:
    info = {"ETag": "a", "mtime": datetime(1970, 1, 1, 0, 0, 1), "size": 3}
    assert tag_of(info, "mtime") == "mtime:1000000-3"
    assert tag_of(info, "md5") == "etag:a"
    assert modified_microseconds(info) == 1_000_000
    assert modified_microseconds({"modify": "20250101"}) is None


def test_wiring_opens_what_fsspec_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(wiring.open_store("memory", StorageSpec(), Meter(), None), FsspecStore)
    unknown = wiring.open_store("nosuchscheme", StorageSpec(), Meter(), None)
    assert "nosuchscheme" in refused(SpecError, lambda: unknown.head("a/b")).message
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"pip install 'raybackfill\[fsspec\]'"):
        wiring.open_store("memory", StorageSpec(), Meter(), None)


def test_a_whole_run_reads_from_it(root: str, tmp_path: Path) -> None:
    for day, rows in (("2025-01-01", 3), ("2025-01-02", 2)):
        text = "id,amount\n" + "".join(f"{day[-2:]}{n},{n}.50\n" for n in range(rows))
        put(f"{root}raw/dt={day}/orders.csv", text.encode())
    put(f"{root}names.csv", b"id,name\n010,ten\n")
    config = f"""
name: orders
source: {{uri: "memory://{root}raw", path: "dt={{dt:%Y-%m-%d}}/*", format: csv}}
transform:
  sql: "select o.id, o.dt, n.name from input o left join names n using (id)"
  tables: {{names: {{uri: "memory:///{root}names.csv", schema: {{id: string}}}}}}
target: {{uri: gold/orders, partition_by: [dt]}}
"""
    backfill = stores.backfill(config, tmp_path)
    assert backfill.run(engine="inline").status()["state"] == "published"
    files = sorted((tmp_path / "gold" / "orders").rglob("*.parquet"))
    assert [file.parent.name for file in files] == ["dt=2025-01-01", "dt=2025-01-02"]
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    assert sorted(row["id"] for row in rows) == ["010", "011", "012", "020", "021"]
    assert [row["name"] for row in rows if row["id"] == "010"] == ["ten"]


def test_a_run_refuses_a_source_that_changed_since_the_plan(root: str, tmp_path: Path) -> None:
    put(f"{root}raw/a.csv", b"id\n1\n")
    config = f"name: t\nsource: {{uri: 'memory://{root}raw'}}\ntarget: {{uri: gold/t}}\n"
    backfill = stores.backfill(config, tmp_path)
    plan = backfill.plan()
    put(f"{root}raw/a.csv", b"id\n2\n")
    with pytest.raises(IntegrityError) as caught:
        backfill.run(plan, engine="inline")
    assert caught.value.exit_code == 4
    assert not (tmp_path / "gold" / "t").exists()
