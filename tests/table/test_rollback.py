"""A run that is taken back leaves the rows that it found, under files that no sleeper knows."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raybackfill.errors import IntegrityError, SpecError
from raybackfill.flow import rollback as rolling
from raybackfill.spec.values import StorageSpec
from raybackfill.storage.s3 import S3Store
from tests.faults.crashes import Kept, Watched, deaths
from tests.faults.shapes import ALWAYS, UNPROBED
from tests.stores import backfill, this_process
from tests.table.lake import CONFIG, DAYS, TARGET, Lake


def test_the_rows_come_back_and_what_was_untouched_stays() -> None:
    lake = Lake()
    before, data = lake.table(), lake.data()
    run = lake.run()
    assert sorted(lake.table()) == [f"dt={day}" for day in DAYS] and lake.table() != before
    with this_process(lake.store):
        ended = run.rollback()
    assert (ended.exit_code, ended.status()["state"]) == (0, "rolled_back")
    assert lake.table() == before
    version = lake.opened().newest()
    assert version is not None and (version.number, version.undoes, version.run_id) == (2, 1, run.id)
    now = lake.data()
    untouched = f"dt={DAYS[2]}/part-00000.parquet"
    assert now.keys() == data.keys() and now[untouched] == data[untouched]
    for path in data.keys() - {untouched}:
        # Another file of the same rows, of a stamp that says what brought it.
        assert now[path] != data[path]
        assert pq.read_table(io.BytesIO(now[path])).equals(pq.read_table(io.BytesIO(data[path])))
        stamp = pq.read_metadata(io.BytesIO(now[path])).metadata[b"raybackfill.restored"].decode()
        assert stamp.startswith(f"{run.id}.2.")
    # The second day was not there: its path holds an empty file of the new version's.
    (second,) = [file for file in version.files if file.path.startswith(f"dt={DAYS[1]}/")]
    assert second.is_empty and second.since == 2


def test_taken_back_twice_is_no_error_and_a_new_run_publishes_over_it() -> None:
    lake = Lake()
    run = lake.run()
    with this_process(lake.store):
        assert run.rollback().rollback().exit_code == 0
        assert lake.opened().newest().number == 2  # type: ignore[union-attr]
        assert run.resume(engine="inline").status()["state"] == "rolled_back"
    assert lake.run(by=7).exit_code == 0
    assert lake.table()[f"dt={DAYS[1]}"] == [(20, 14), (21, 14)]


def test_over_a_newer_run_it_is_refused_and_the_newer_one_is_named() -> None:
    lake = Lake()
    before = lake.table()
    first = lake.run()
    second = lake.run("others", by=5, days=(3, 4))
    held = lake.table()
    with this_process(lake.store):
        refused = first.rollback()
        assert refused.exit_code == 4 and refused.gate is not None
        assert refused.gate.name == "no newer version"
        assert second.id in refused.gate.reason and second.id in refused.gate.next
        assert first.status()["state"] == "published" and lake.table() == held
        # As it says: the newer one first, then this one.
        assert second.rollback().exit_code == 0
        assert first.rollback().exit_code == 0
    assert lake.table() == before


def test_a_repaired_run_is_taken_back_to_before_its_first_version() -> None:
    lake = Lake()
    before = lake.table()
    run = lake.run()
    lake.store.put(f"{TARGET}/dt={DAYS[1]}/part-00000.parquet", b"damaged")
    with this_process(lake.store):
        assert run.verify(engine="inline", repair=True)["result"] == "passed"
        assert lake.opened().newest().number == 2  # type: ignore[union-attr]
        assert run.rollback().exit_code == 0
    assert lake.table() == before


def test_a_table_that_somebody_changed_since_is_left_alone() -> None:
    lake = Lake()
    run = lake.run()
    path = f"{TARGET}/dt={DAYS[0]}/part-00000.parquet"
    lake.store.copy(f"{TARGET}/dt={DAYS[2]}/part-00000.parquet", path)
    held = lake.table()
    with this_process(lake.store):
        refused = run.rollback()
    assert refused.gate is not None and refused.gate.name == "target unchanged"
    assert f"dt={DAYS[0]}/part-00000.parquet" in refused.gate.reason
    assert lake.table() == held


def test_what_is_no_longer_kept_cannot_come_back() -> None:
    lake = Lake()
    run = lake.run()
    held = lake.table()
    lake.store.delete(lake.keys("/previous/")[0])
    with this_process(lake.store), pytest.raises(IntegrityError, match="no longer kept"):
        run.rollback()
    assert lake.table() == held


def test_rows_that_are_not_the_same_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes into what is to come back: its digest tells, before anything is changed."""
    lake = Lake()
    run = lake.run()
    held = lake.table()
    really = rolling._stamped_copy

    def other_rows(store: object, source: object, key: str, stamp: str) -> object:
        really(store, source, key, stamp)  # type: ignore[arg-type]
        return lake.store.copy(f"{TARGET}/dt={DAYS[1]}/part-00000.parquet", key)

    monkeypatch.setattr(rolling, "_stamped_copy", other_rows)
    with this_process(lake.store), pytest.raises(IntegrityError, match="not those that were replaced"):
        run.rollback()
    assert lake.table() == held and lake.opened().newest().number == 1  # type: ignore[union-attr]


def test_only_a_published_run_is_taken_back() -> None:
    lake = Lake()
    with this_process(lake.store):
        staged = lake.asked().run(engine="inline", publish=False)
        with pytest.raises(SpecError, match="staged cannot be taken back"):
            staged.rollback()


def test_a_file_that_is_no_parquet_comes_back_where_that_gives_it_a_tag_of_its_own() -> None:
    lake = Lake()
    lake.store.put(f"{TARGET}/dt={DAYS[0]}/notes.txt", b"by hand")
    run = lake.run()
    assert lake.store.read(f"{TARGET}/dt={DAYS[0]}/notes.txt").to_pybytes() != b"by hand"
    with this_process(lake.store):
        assert run.rollback().exit_code == 0
    assert lake.store.read(f"{TARGET}/dt={DAYS[0]}/notes.txt").to_pybytes() == b"by hand"


def test_a_rollback_that_dies_at_any_call_goes_on_to_the_same_table(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ALWAYS, **UNPROBED}.items():
        monkeypatch.setattr(name, value)
    lake = Lake(Kept())
    before = lake.table()
    run = lake.run()
    watched = Watched(lake.store)  # type: ignore[arg-type]
    with this_process(watched):
        lake.asked().newest_run().rollback()
    died = deaths(watched)
    assert len(died) > 10
    for death in died:
        later = Lake.__new__(Lake)
        later.store = death.left.copy_of_all()
        with this_process(later.store):
            ended = later.asked().newest_run().rollback(take_over=True)
            assert ended.status()["state"] == "rolled_back", death
        assert later.table() == before, death
        version = later.opened().newest()
        assert version is not None and (version.number, version.run_id) == (2, run.id), death


def test_on_s3(s3_storage: StorageSpec, s3_bucket: str, tmp_path: Path) -> None:
    """Tags there are hashes of the bytes: the same ones would have the same tag."""
    store = S3Store(s3_storage)
    memory = Lake()
    for key in memory.keys("/"):
        store.put(s3_bucket + key, memory.store.read(key).to_pybytes())
    root = f"{s3_bucket}{TARGET}/"
    before = {row["key"]: row["tag"] for row in store.page(root).objects.to_pylist()}
    text = CONFIG.format(name="orders", by=2, start=DAYS[0], end=DAYS[2])
    with this_process(store):
        run = backfill(text.replace("/lake/", f"s3://{s3_bucket}/lake/"), tmp_path).run(engine="inline")
        assert run.rollback().exit_code == 0
    after = {row["key"]: row["tag"] for row in store.page(root).objects.to_pylist()}
    third = f"{root}dt={DAYS[2]}/part-00000.parquet"
    assert before.keys() <= after.keys() and after[third] == before[third]
    assert all(after[key] != tag for key, tag in before.items() if key != third)
    for key in before:
        old = pq.read_table(io.BytesIO(memory.store.read(key[len(s3_bucket) :]).to_pybytes()))
        assert pq.read_table(io.BytesIO(store.read(key).to_pybytes())).equals(old)
