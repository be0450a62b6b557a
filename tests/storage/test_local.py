"""What only a disk has: scratch folders, links, permissions, odd files."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from raybackfill.errors import RaybackfillError, SpecError, TransientError
from raybackfill.storage.local import LocalStore, prune_empty_folders
from raybackfill.storage.local import files as local_files


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folder = tmp_path / "table"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path, table: Path) -> LocalStore:
    return LocalStore(scratch=str(tmp_path / "_raybackfill" / "tmp"))


def files_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_nothing_of_ours_stands_in_the_table(
    store: LocalStore, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at in the instant before each file comes to its key."""
    seen: list[set[str]] = []
    settle = local_files._settle
    monkeypatch.setattr(
        local_files, "_settle", lambda *given: (seen.append(files_below(table)), settle(*given))[1]
    )
    upload = store.upload(f"{table}/dt=1/part-0.parquet", stamp="")
    upload.write(b"rows")
    made = upload.commit()
    store.put(f"{table}/dt=1/b", b"x", create=True)
    store.put(f"{table}/dt=1/b", b"y")
    store.copy(made.key, f"{table}/dt=2/c")
    assert seen == [set(), {"part-0.parquet"}, {"part-0.parquet", "b"}, {"part-0.parquet", "b"}]
    assert files_below(tmp_path / "_raybackfill") == set()


def test_a_copy_is_a_link(store: LocalStore, table: Path) -> None:
    made = store.put(f"{table}/a", b"x")
    copied = store.copy(f"{table}/a", f"{table}/b")
    assert made is not None and copied is not None and made.tag == copied.tag
    assert (table / "a").stat().st_ino == (table / "b").stat().st_ino


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM])
def test_without_links_a_copy_keeps_its_tag(
    store: LocalStore, table: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    made = store.put(f"{table}/a", b"content", create=True)
    assert made is not None
    assert store.put(f"{table}/a", b"other", create=True) is None
    copied = store.copy(made.key, f"{table}/b", create=True)
    assert copied is not None and copied.tag == made.tag
    assert (table / "a").stat().st_ino != (table / "b").stat().st_ino
    assert store.read(copied.key, tag=made.tag).to_pybytes() == b"content"
    assert store.copy(made.key, f"{table}/b", create=True) is None
    assert files_below(table) == {"a", "b"}


def test_a_scratch_folder_elsewhere(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file system is used only to begin with, or not at all."""
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == table.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    scratch = elsewhere / f"raybackfill-test-{os.getpid()}"
    try:
        store = LocalStore(scratch=str(scratch))
        write_all_ways(store, table)
        # Two mounts of one file system have one device number, and still nothing moves between them.
        monkeypatch.setattr(LocalStore, "_temporary_path", lambda self, key: scratch / Path(key).name)
        write_all_ways(store, table)
        assert files_below(scratch) == set()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_all_ways(store: LocalStore, table: Path) -> None:
    upload = store.upload(f"{table}/large", stamp="")
    upload.write(b"rows")
    made = upload.commit()
    assert store.head(made.key) == made
    small = store.put(f"{table}/small", b"x")
    assert small is not None and store.put(small.key, b"y", replaces=small.tag) is not None
    copied = store.copy(made.key, f"{table}/copy")
    assert copied is not None and copied.tag == made.tag
    assert store.copy(made.key, f"{table}/copy", create=True) is None
    assert files_below(table) == {"large", "small", "copy"}


def test_our_temporary_files_are_not_listed(table: Path) -> None:
    store = LocalStore()
    upload = store.upload(f"{table}/a", stamp="")
    upload.write(b"x")
    assert len(files_below(table)) == 1
    assert store.page(f"{table}/").objects.num_rows == 0
    upload.abort()
    assert files_below(table) == set()


def test_an_open_file_outlives_its_replacement(store: LocalStore, table: Path) -> None:
    made = store.put(f"{table}/a", b"old content")
    assert made is not None
    file = store.open(made, whole=False)
    assert isinstance(file, pa.MemoryMappedFile)
    store.put(f"{table}/a", b"new")
    assert file.read() == b"old content"


def test_a_write_by_another_tool_changes_the_tag(store: LocalStore, table: Path) -> None:
    made = store.put(f"{table}/a", b"12345")
    assert made is not None
    (table / "a").write_bytes(b"54321")
    assert store.put(f"{table}/a", b"x", replaces=made.tag) is None
    there = store.head(f"{table}/a")
    assert there is not None and there.tag != made.tag


def test_links_are_followed(store: LocalStore, table: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f").write_bytes(b"x")
    (table / "linked").symlink_to(tmp_path / "elsewhere")
    (table / "file").symlink_to(tmp_path / "elsewhere" / "f")
    assert store.page(f"{table}/").objects["key"].to_pylist() == [f"{table}/file", f"{table}/linked/f"]


def test_links_that_lead_nowhere_or_back_are_named(store: LocalStore, table: Path) -> None:
    (table / "broken").symlink_to(table / "nothing")
    with pytest.raises(SpecError, match=r"broken.*leads to nothing"):
        store.page(f"{table}/")
    (table / "broken").unlink()
    (table / "loop").symlink_to(table)
    with pytest.raises(SpecError, match=r"loop.*leads back"):
        store.page(f"{table}/")


def test_a_name_that_is_not_text_is_named(store: LocalStore, table: Path) -> None:
    (Path(os.fsdecode(os.fsencode(table) + b"/bad-\xff"))).write_bytes(b"x")
    with pytest.raises(SpecError, match=r"bad-.*not UTF-8"):
        store.page(f"{table}/")


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        (errno.ENOSPC, TransientError, "disk is full"),
        (errno.EDQUOT, TransientError, "disk is full"),
        (errno.EACCES, SpecError, "no permission"),
        (errno.EROFS, SpecError, "no permission"),
        (errno.EIO, TransientError, "disk failed"),
    ],
)
def test_errors_of_the_disk(
    store: LocalStore,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: type[RaybackfillError],
    says: str,
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    upload = store.upload(f"{table}/large", stamp="")
    upload.write(b"x")
    monkeypatch.setattr(os, "fsync", fail)
    for work in (lambda: store.put(f"{table}/a", b"x"), upload.commit):
        with pytest.raises(error, match=says) as caught:
            work()
        assert caught.value.where.startswith(str(table)) and caught.value.next
    upload.abort()
    assert files_below(table.parent) == set()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(store: LocalStore, table: Path) -> None:
    table.chmod(0)
    try:
        with pytest.raises(SpecError, match="no permission"):
            store.page(f"{table}/")
    finally:
        table.chmod(0o755)


@pytest.mark.parametrize("key", ["relative/path", "/folder/", "", "/nul\0byte"])
def test_keys_that_no_file_can_have(store: LocalStore, key: str) -> None:
    with pytest.raises(SpecError):
        store.put(key, b"x")
    with pytest.raises(SpecError):
        store.head(key)


def test_a_file_where_a_folder_should_be(store: LocalStore, table: Path) -> None:
    store.put(f"{table}/a", b"x")
    with pytest.raises(SpecError, match="in the way"):
        store.put(f"{table}/a/b", b"x")
    (table / "folder").mkdir()
    assert store.head(f"{table}/folder") is None
    with pytest.raises(SpecError, match="in the way"):
        store.put(f"{table}/folder", b"x")


def test_prune_removes_only_what_is_empty(store: LocalStore, table: Path) -> None:
    store.put(f"{table}/kept/f", b"x")
    store.put(f"{table}/gone/deep/f", b"x")
    store.delete(f"{table}/gone/deep/f")
    assert (table / "gone" / "deep").is_dir()
    prune_empty_folders(str(table))
    assert [path.name for path in table.iterdir()] == ["kept"]
    prune_empty_folders(str(table / "none"))
