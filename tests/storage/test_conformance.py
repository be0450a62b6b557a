"""What ObjectStore promises, of every store."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.errors import IntegrityError
from raybackfill.storage import LISTING, ObjectInfo, ObjectStore
from raybackfill.storage.local import store as local_store
from raybackfill.storage.s3 import uploads
from tests.storage.conftest import Place

AWKWARD = [
    "space in name",
    "per%cent",
    "%41",
    "plus+plus",
    "ünï-çødé-日本",
    "a=b&c?d#e",
    "quote'\"quote",
    "~tilde",
]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of five entries on a disk, so that few files make several; S3 has its own size."""
    monkeypatch.setattr(local_store, "PAGE_OBJECTS", 5)


def put(place: Place, name: str, data: bytes = b"data") -> ObjectInfo:
    made = place.store.put(place.root + name, data)
    assert made is not None
    return made


def listed(store: ObjectStore, prefix: str, folders: bool = False) -> tuple[list[str], list[str]]:
    """All pages: keys and folders, each without duplicates and in order, as given."""
    keys: list[str] = []
    found: list[str] = []
    after: str | None = None
    while True:
        page = store.page(prefix, after=after, folders=folders)
        assert page.objects.schema == LISTING
        keys += page.objects["key"].to_pylist()
        found += page.folders
        after = page.after
        if after is None:
            return keys, found


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def gone_or_changed(work: Callable[[], object]) -> IntegrityError:
    with pytest.raises(IntegrityError) as caught:
        work()
    assert caught.value.exit_code == 4
    assert caught.value.where and caught.value.next
    return caught.value


def test_an_object_is_what_was_put(place: Place) -> None:
    made = put(place, "a/b.bin", b"0123456789")
    assert made.size == 10 and made.key == place.root + "a/b.bin"
    assert place.store.head(made.key) == made
    assert place.store.read(made.key, tag=made.tag).to_pybytes() == b"0123456789"


def test_nothing_is_none(place: Place) -> None:
    put(place, "file")
    assert place.store.head(place.root + "no/such") is None
    assert place.store.head(place.root + "file/below") is None
    assert place.store.head(place.root + "fil") is None


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
        (-10, None, b"0123456789"),
        (-500, None, b"0123456789"),
        (-4, 2, b"67"),
        (-500, 2, b"01"),
    ],
)
def test_ranges(place: Place, offset: int, size: int | None, expected: bytes) -> None:
    made = put(place, "digits", b"0123456789")
    assert place.store.read(made.key, offset=offset, size=size, tag=made.tag).to_pybytes() == expected
    assert place.store.read(made.key, offset=offset, size=size).to_pybytes() == expected
    gone_or_changed(lambda: place.store.read(made.key, offset=offset, size=size, tag="another"))


def test_an_empty_object(place: Place) -> None:
    made = put(place, "empty", b"")
    assert made.size == 0
    for offset, size in ((0, None), (-8, None), (0, 5), (5, None)):
        assert len(place.store.read(made.key, offset=offset, size=size, tag=made.tag)) == 0
    for whole in (True, False):
        assert place.store.open(made, whole=whole).read() == b""


def test_what_changed_or_went_is_not_read(place: Place) -> None:
    old = put(place, "object", b"x" * 100)
    new = put(place, "object", b"y" * 100)
    assert new.tag != old.tag
    message = str(gone_or_changed(lambda: place.store.read(old.key, tag=old.tag)))
    assert old.tag in message and new.tag in message
    for whole in (True, False):
        gone_or_changed(lambda whole=whole: place.store.open(old, whole=whole).read())
    place.store.delete(old.key)
    gone_or_changed(lambda: place.store.read(old.key))
    gone_or_changed(lambda: place.store.read(old.key, offset=2, size=0))
    for whole in (True, False):
        gone_or_changed(lambda whole=whole: place.store.open(new, whole=whole).read())
    gone_or_changed(lambda: place.store.copy(old.key, place.root + "copy"))


def test_each_write_has_its_own_tag(place: Place) -> None:
    """Of other content, that is: on S3 the tag is a hash of the bytes."""
    tags = [put(place, "object", b"%06d" % number).tag for number in range(50)]
    assert len(set(tags)) == 50


@pytest.mark.parametrize("whole", [True, False])
def test_open_reads_parquet_at_random(place: Place, whole: bool) -> None:
    table = pa.table({"n": range(10_000), "text": [str(number) for number in range(10_000)]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=1000)
    made = put(place, "table.parquet", sink.getvalue().to_pybytes())
    file = pq.ParquetFile(place.store.open(made, whole=whole))
    assert file.read_row_group(7).equals(table.slice(7000, 1000))
    assert file.read().equals(table)
    raw = place.store.open(made, whole=whole)
    raw.seek(made.size - 4)
    assert raw.read() == b"PAR1" and raw.read() == b""


def test_create_once(place: Place) -> None:
    key = place.root + "deep/er/once"
    first = place.store.put(key, b"first", create=True)
    assert first is not None
    assert place.store.put(key, b"second", create=True) is None
    assert place.store.put(key, b"first", create=True) is None
    assert place.store.read(key, tag=first.tag).to_pybytes() == b"first"


def test_of_many_creators_one_wins(place: Place) -> None:
    for round_number in range(5):
        key = f"{place.root}contested-{round_number}"
        answers = at_once(16, lambda n, key=key: place.store.put(key, b"writer %d" % n, create=True))
        winners = [number for number, answer in enumerate(answers) if answer is not None]
        assert len(winners) == 1
        assert place.store.read(key).to_pybytes() == b"writer %d" % winners[0]


def test_replace_only_what_was_seen(place: Place) -> None:
    key = place.root + "cell"
    assert place.store.put(key, b"x", replaces="0-0") is None
    assert place.store.head(key) is None
    first = put(place, "cell", b"one")
    second = place.store.put(key, b"two", replaces=first.tag)
    assert second is not None
    assert place.store.put(key, b"three", replaces=first.tag) is None
    assert place.store.read(key, tag=second.tag).to_pybytes() == b"two"


def test_of_many_replacers_one_wins(place: Place) -> None:
    key = place.root + "cell"
    seen = put(place, "cell", b"start")
    for _ in range(5):
        answers = at_once(
            8, lambda n, tag=seen.tag: place.store.put(key, b"%d" % n + os.urandom(8), replaces=tag)
        )
        (seen,) = [answer for answer in answers if isinstance(answer, ObjectInfo)]
        assert place.store.head(key) == seen


def test_pages_are_in_order_and_complete(place: Place) -> None:
    names = [
        "a.txt",
        "a/b",
        "a/b.txt",
        "a/b/c",
        "a/b0",
        "a0",
        "b",
        "Z",
        "zz/" + "y" * 50,
        "é",
        "zz.",
        *AWKWARD,
    ]
    names.remove("a/b")  # a file and a folder of one name cannot be on a disk
    for name in names:
        put(place, name)
    keys, folders = listed(place.store, place.root)
    assert folders == []
    assert keys == sorted((place.root + name for name in names), key=str.encode)


def test_a_page_describes_its_objects(place: Place) -> None:
    made = {info.key: info for info in (put(place, f"f{n}", b"x" * n) for n in range(4))}
    page = place.store.page(place.root)
    assert page.after is None
    for row in page.objects.to_pylist():
        info = made.pop(row["key"])
        assert (row["size"], row["tag"]) == (info.size, info.tag)
        assert row["modified"] is not None
    assert made == {}


def test_a_prefix_may_end_within_a_name(place: Place) -> None:
    for name in ("dt=2024-12-31/f", "dt=2025-01-01/f", "dt=2025-01-02/g/h", "dt=2025.txt", "other"):
        put(place, name)
    keys, _ = listed(place.store, place.root + "dt=2025")
    expected = ["dt=2025-01-01/f", "dt=2025-01-02/g/h", "dt=2025.txt"]
    assert keys == [place.root + name for name in expected]
    keys, folders = listed(place.store, place.root + "dt=2025", folders=True)
    assert keys == [place.root + "dt=2025.txt"]
    assert folders == [place.root + name for name in ("dt=2025-01-01/", "dt=2025-01-02/")]


def test_folders_are_given_once_over_pages(place: Place) -> None:
    for number in range(7):
        for name in ("x", "y", "z/deep"):
            put(place, f"folder-{number}/{name}")
        put(place, f"folder-{number}.txt")
    keys, folders = listed(place.store, place.root, folders=True)
    assert folders == [f"{place.root}folder-{number}/" for number in range(7)]
    assert keys == [f"{place.root}folder-{number}.txt" for number in range(7)]
    assert len(listed(place.store, place.root)[0]) == 28


def test_nothing_below_a_prefix_is_an_empty_page(place: Place) -> None:
    put(place, "file")
    for prefix in ("no/such/folder/", "file/", "nothing"):
        for folders in (True, False):
            page = place.store.page(place.root + prefix, folders=folders)
            assert (page.objects.num_rows, page.folders, page.after) == (0, (), None)


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_keys(place: Place, name: str) -> None:
    key = f"{place.root}{name}/{name}"
    made = place.store.put(key, name.encode(), create=True)
    assert made is not None and made.key == key
    assert listed(place.store, place.root)[0] == [key]
    assert listed(place.store, place.root, folders=True) == ([], [f"{place.root}{name}/"])
    assert place.store.head(key) == made
    assert place.store.read(key, tag=made.tag).to_pybytes() == name.encode()
    copied = place.store.copy(key, key + ".copy")
    assert copied is not None and place.store.read(copied.key).to_pybytes() == name.encode()
    upload = place.store.upload(key + ".upload", stamp="s")
    upload.write(name.encode())
    assert place.store.read(upload.commit().key).to_pybytes() == name.encode()
    place.store.delete(key)
    assert place.store.head(key) is None


def test_a_copy_is_the_same_object(place: Place) -> None:
    upload = place.store.upload(place.root + "original", stamp="unit-7.attempt-2")
    upload.write(b"content")
    original = upload.commit()
    copied = place.store.copy(original.key, place.root + "deep/copy")
    assert copied is not None
    assert (copied.size, copied.tag, copied.stamp) == (
        original.size,
        original.tag,
        place_stamp(place, original),
    )
    assert place.store.head(copied.key) == copied
    place.store.delete(original.key)
    assert place.store.read(copied.key, tag=copied.tag).to_pybytes() == b"content"


def place_stamp(place: Place, original: ObjectInfo) -> str:
    """A disk keeps no stamps; the others must show the one that the upload was given."""
    expected = "" if place.store.scheme == "file" else "unit-7.attempt-2"
    assert original.stamp == expected
    return expected


def test_a_copy_replaces_or_creates(place: Place) -> None:
    source, there = put(place, "source", b"new"), put(place, "target", b"old")
    assert place.store.copy(source.key, there.key, create=True) is None
    assert place.store.read(there.key, tag=there.tag).to_pybytes() == b"old"
    assert place.store.copy(source.key, there.key) is not None
    assert place.store.read(there.key).to_pybytes() == b"new"
    assert place.store.copy(source.key, there.key) is not None
    made = place.store.copy(source.key, place.root + "fresh", create=True)
    assert made is not None and place.store.head(made.key) == made
    assert place.store.copy(source.key, source.key) == source
    assert place.store.copy(source.key, source.key, create=True) is None
    assert len(listed(place.store, place.root)[0]) == 3


def test_a_copy_is_made_only_of_what_was_seen_and_over_what_was_seen(place: Place) -> None:
    source, there = put(place, "source", b"new"), put(place, "target", b"old")
    stale = there.tag + "0"
    assert place.store.copy(source.key, there.key, replaces=stale) is None
    assert place.store.copy(source.key, place.root + "absent", replaces=there.tag) is None
    assert place.store.head(place.root + "absent") is None
    gone_or_changed(lambda: place.store.copy(source.key, there.key, tag=stale, replaces=there.tag))
    assert place.store.read(there.key, tag=there.tag).to_pybytes() == b"old"
    copied = place.store.copy(source.key, there.key, tag=source.tag, replaces=there.tag)
    assert copied is not None and place.store.head(there.key) == copied
    assert place.store.read(there.key).to_pybytes() == b"new"
    assert place.store.copy(source.key, place.root + "fresh", tag=source.tag, create=True) is not None
    assert place.store.copy(source.key, source.key, replaces=stale) is None
    assert place.store.copy(source.key, source.key, replaces=source.tag) == source
    gone_or_changed(lambda: place.store.copy(source.key, source.key, tag=stale))


def test_of_many_copies_over_one_tag_one_wins(place: Place) -> None:
    """Of those that come one after the other, where a store ignores what a copy is only to replace."""
    if place.store.scheme == "s3":
        pytest.skip("moto ignores the conditions of a copy")
    sources = [put(place, f"source-{number}", b"%d" % number) for number in range(8)]
    for _ in range(5):
        there = put(place, "target", os.urandom(8))
        made = at_once(
            8,
            lambda n, tag=there.tag: place.store.copy(sources[n].key, place.root + "target", replaces=tag),
        )
        assert sum(answer is not None for answer in made) == 1


def test_only_what_was_seen_is_deleted(place: Place) -> None:
    old = put(place, "object", b"old")
    new = put(place, "object", b"newer")
    assert not place.store.delete(new.key, tag=old.tag)
    assert place.store.head(new.key) == new
    assert not place.store.refuses_delete(new.key, tag=new.tag)
    assert place.store.head(new.key) is None
    assert place.store.delete(new.key, tag=new.tag)
    again = put(place, "object")
    assert place.store.refuses_delete(again.key, tag=again.tag + "0")
    assert place.store.head(again.key) == again


def test_an_upload_is_committed_only_over_what_was_seen(place: Place, small_parts: int) -> None:
    there = put(place, "object", b"old")
    for size in (10, small_parts + 10):

        def upload(name: str, size: int = size, **conditions: Any) -> ObjectInfo | None:
            begun = place.store.upload(place.root + name, stamp="s")
            begun.write(os.urandom(size))
            return begun.commit(**conditions)

        assert upload("object", create=True) is None
        assert upload("object", replaces=there.tag + "0") is None
        assert upload("absent", replaces=there.tag) is None
        assert place.store.head(there.key) == there and place.store.head(place.root + "absent") is None
        made = upload("object", replaces=there.tag)
        assert made is not None and place.store.head(there.key) == made
        assert upload(f"created-{size}", create=True) is not None
        there = made
    assert pending_uploads(place) == []


def test_deleting_twice_is_no_error(place: Place) -> None:
    made = put(place, "a/b")
    place.store.delete(made.key)
    place.store.delete(made.key)
    place.store.delete(place.root + "never/was")
    assert listed(place.store, place.root) == ([], [])


def test_an_upload_is_seen_only_when_committed(place: Place) -> None:
    old = put(place, "object", b"old")
    upload = place.store.upload(old.key, stamp="s")
    for piece in (b"ne", memoryview(b"w "), pa.py_buffer(b"bytes"), b""):
        upload.write(piece)
    assert place.store.head(old.key) == old
    assert listed(place.store, place.root)[0] == [old.key]
    made = upload.commit()
    upload.abort()
    assert place.store.head(old.key) == made
    assert place.store.read(made.key, tag=made.tag).to_pybytes() == b"new bytes"


def test_an_empty_upload(place: Place) -> None:
    made = place.store.upload(place.root + "empty", stamp="").commit()
    assert made.size == 0 and place.store.head(made.key) == made


def pending_uploads(place: Place) -> list[object]:
    """Multipart uploads that S3 holds for this test's bucket; none elsewhere."""
    if place.store.scheme != "s3":
        return []
    client = boto3.client("s3", endpoint_url=place.endpoint_url, region_name="us-east-1")
    reply = client.list_multipart_uploads(Bucket=place.root.split("/")[0])
    return list(reply.get("Uploads", []))


def files_left(place: Place, tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()] if place.store.scheme == "file" else []


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Parts as small as S3 takes them."""
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * 1024 * 1024)
    return 5 * 1024 * 1024


def test_an_aborted_upload_leaves_nothing(place: Place, small_parts: int, tmp_path: Path) -> None:
    for size in (10, small_parts * 2 + 10):
        upload = place.store.upload(place.root + "aborted", stamp="s")
        upload.write(b"x" * size)
        if size > small_parts and place.store.scheme == "s3":
            assert len(pending_uploads(place)) == 1
        upload.abort()
        upload.abort()
        assert place.store.head(place.root + "aborted") is None
        assert listed(place.store, place.root) == ([], [])
        assert pending_uploads(place) == [] and files_left(place, tmp_path) == []


def test_a_large_upload_arrives_whole(place: Place, small_parts: int, tmp_path: Path) -> None:
    data = os.urandom(small_parts * 4 + 12345)
    before = place.meter.snapshot()
    upload = place.store.upload(place.root + "large", stamp="stamp-1")
    step = 1_234_567
    for start in range(0, len(data), step):
        upload.write(data[start : start + step])
    made = upload.commit()
    assert made.size == len(data) and place.store.head(made.key) == made
    assert place.store.read(made.key, tag=made.tag).equals(pa.py_buffer(data))
    after = place.meter.snapshot()
    assert after["bytes_written"] - before["bytes_written"] == len(data)
    assert after["bytes_read"] - before["bytes_read"] == len(data)
    assert after["put"] - before["put"] == (7 if place.store.scheme == "s3" else 1)
    assert pending_uploads(place) == [] and len(files_left(place, tmp_path)) == (place.store.scheme == "file")
