"""A run that is closed leaves its table as it is, and nothing that only it needed."""

from __future__ import annotations

import json

import pytest

from raybackfill.errors import SpecError
from raybackfill.storage.probe import DELETE
from raybackfill.table.view import View
from tests.faults.crashes import Kept, Watched, deaths
from tests.faults.shapes import ALWAYS, UNPROBED
from tests.stores import Ignoring, backfill, this_process
from tests.table.lake import CONFIG, TARGET, Lake

LEFT = ("/previous/", ".staged")


def leftovers(lake: Lake) -> list[str]:
    return [key for part in LEFT for key in lake.keys(part)]


def test_what_it_staged_and_replaced_goes_and_the_table_stays() -> None:
    lake = Lake()
    run = lake.run()
    table, files = lake.table(), len(lake.keys(f"{TARGET}/"))
    assert lake.keys("/previous/") and lake.keys("/staged/") and lake.keys("/empty/")
    with this_process(lake.store):
        ended = run.close()
    assert (ended.exit_code, ended.status()["state"]) == (0, "closed")
    assert ended.status()["units"]["published"] > 0, "what it published stays published"
    assert leftovers(lake) == []
    assert lake.keys("receipt.json") and lake.keys("/journal/"), "the record stays"
    assert lake.table() == table
    assert len(lake.keys(f"{TARGET}/")) == files - 1, "the empty file of its surplus path is gone"


def test_it_is_the_end() -> None:
    lake = Lake()
    run = lake.run()
    with this_process(lake.store):
        run.close()
        with pytest.raises(SpecError, match="closed"):
            run.rollback()
        assert run.verify(engine="inline")["result"] == "passed", "what it published can be proved for ever"
        assert run.resume(engine="inline").status()["state"] == "closed"
        assert run.close().status()["state"] == "closed"
    assert lake.run(by=9).exit_code == 0


def test_only_its_own_goes() -> None:
    lake = Lake()
    first = lake.run()
    second = lake.run("others", by=5, days=(3, 4))
    with this_process(lake.store):
        first.close()
        assert all("/others/" in key for key in leftovers(lake)) and leftovers(lake)
        assert second.rollback().exit_code == 0


def test_one_that_was_taken_back_is_closed_and_the_old_rows_stay() -> None:
    lake = Lake()
    before = lake.table()
    run = lake.run()
    with this_process(lake.store):
        closed = run.rollback().close()
    assert closed.status()["units"]["published"] == 0
    assert (lake.table(), leftovers(lake)) == (before, [])


def test_one_that_stopped_is_given_up() -> None:
    lake = Lake()
    with this_process(lake.store):
        looks = iter((False, True))
        with pytest.raises(Exception, match="interrupted"):
            lake.asked().run(engine="inline", stop_asked=lambda: next(looks, True))
        run = lake.asked().newest_run()
        assert run.close().status()["state"] == "closed"
        assert leftovers(lake) == []
        # It stands in nobody's way.
        assert lake.asked(by=3).run(engine="inline").exit_code == 0


@pytest.mark.parametrize("state", ["staged", "running"])
def test_one_that_is_open_is_not_closed(state: str) -> None:
    lake = Lake()
    with this_process(lake.store):
        run = lake.asked().run(engine="inline", publish=False)
        if state == "running":
            journal = lake.keys("/journal/")
            for key in journal[1:]:
                lake.store.delete(key)
        with pytest.raises(SpecError, match=f"{state} is not closed"):
            run.close()
    assert lake.keys(".staged")


def test_what_the_newest_version_still_needs_is_kept() -> None:
    """Somebody changed a path since: what the version wants there is nowhere else."""
    lake = Lake()
    run = lake.run()
    path = "dt=2025-01-02/part-00000.parquet"
    lake.store.copy(f"{TARGET}/dt=2025-01-03/part-00000.parquet", f"{TARGET}/{path}")
    version = lake.opened().newest()
    assert version is not None
    (needed,) = [file.staged for file in version.files if file.path == path]
    with this_process(lake.store):
        run.close()
    assert leftovers(lake) == [needed]


def test_a_newer_run_may_fill_the_path_meanwhile() -> None:
    """Its empty file is removed only while it is still that."""
    lake = Lake()
    run = lake.run()
    empty = f"{TARGET}/dt=2025-01-01/by-spark.parquet"
    listing = lake.opened().listing
    calls = []

    def listed_and_then_replaced() -> object:
        found = listing()
        if len(calls) == 1:
            lake.store.copy(f"{TARGET}/dt=2025-01-03/part-00000.parquet", empty)
        calls.append(found)
        return found

    with this_process(lake.store), pytest.MonkeyPatch.context() as patch:
        patch.setattr("raybackfill.table.Table.listing", lambda table: listed_and_then_replaced())
        run.close()
    assert len(calls) == 2
    assert lake.store.read(empty) == lake.store.read(f"{TARGET}/dt=2025-01-03/part-00000.parquet")


def test_without_conditional_deletes_empty_files_stay_under_the_target() -> None:
    lake = Lake(Ignoring("delete"))
    run = lake.run()
    files = lake.keys(f"{TARGET}/")
    said: list[str] = []

    class Hears:
        def __getattr__(self, name: str) -> object:
            return (lambda text: said.append(text)) if name == "say" else lambda *_, **__: None

    with this_process(lake.store):
        run.close(listener=Hears())  # type: ignore[arg-type]
    assert lake.keys(f"{TARGET}/") == files
    assert any("1 empty file;" in text and DELETE in text for text in said)
    assert leftovers(lake) == []


def test_closing_that_dies_at_any_call_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ALWAYS, **UNPROBED}.items():
        monkeypatch.setattr(name, value)
    lake = Lake(Kept())
    lake.run()
    table = lake.table()
    watched = Watched(lake.store)  # type: ignore[arg-type]
    with this_process(watched):
        lake.asked().newest_run().close()
    died = deaths(watched)
    assert len(died) > 8
    for death in died:
        later = Lake.__new__(Lake)
        later.store = death.left.copy_of_all()
        with this_process(later.store):
            ended = later.asked().newest_run().close(take_over=True)
        assert ended.status()["state"] == "closed", death
        assert (later.table(), leftovers(later)) == (table, []), death


def test_after_closing_the_paths_left_without_rows_are_filled_again() -> None:
    lake = Lake()
    run = lake.run()
    with this_process(lake.store):
        run.close()
        # Two objects of the first day make two files of it.
        rows = lake.store.read("/lake/raw/dt=2025-01-01/a.parquet").to_pybytes()
        lake.store.put("/lake/raw/dt=2025-01-01/b.parquet", rows)
        assert (
            backfill(CONFIG.format(name="again", by=4, start="2025-01-01", end="2025-01-02"))
            .run(engine="inline")
            .exit_code
            == 0
        )
    assert lake.table()["dt=2025-01-01"] == [(10, 4), (10, 4), (11, 4), (11, 4)]
    assert json.loads(lake.store.read(lake.keys("/versions/")[-1]).to_pybytes())["version"] == 2


NONE_OF_THE_SECOND_DAY = """
name: none
source: {uri: /lake/raw, path: "dt={dt:%Y-%m-%d}/*"}
transform: {sql: "select id, value, dt from input where id < 0"}
scope: {start: 2025-01-02, end: 2025-01-03}
target: {uri: /lake/gold/orders, partition_by: [dt], on_empty: remove}
"""


def test_a_publisher_of_an_older_run_that_wakes_up_afterwards_fills_nothing() -> None:
    """The path is as it found it before its own publish: nothing lies there."""
    lake = Lake()
    lake.run()
    sleeper = lake.opened().newest()
    with this_process(lake.store):
        backfill(NONE_OF_THE_SECOND_DAY).run(engine="inline").close()
    second_day = f"{TARGET}/dt=2025-01-02/"
    assert sleeper is not None and lake.keys(second_day) == []
    View(lake.opened(), sleeper).publish()
    assert lake.keys(second_day) == []
