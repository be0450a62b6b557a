"""P1: a crash at any call of the store, before or after its effect, ends after resume in the same table."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from raybackfill.errors import TransientError
from tests.faults.checks import check_every_death, check_goes_on, ended, rows_by_path, undisturbed
from tests.faults.crashes import AS_OF, EVERY, PAIRS, TRIPLES, Kept, Scene, chains, deaths, set_scene
from tests.faults.shapes import OLD, SHAPES, shape
from tests.stores import CHANGES, Crashed, CrashingStore, this_process


@pytest.fixture(params=SHAPES, ids=lambda shape: shape.name.replace(" ", "_"))
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scene:
    return set_scene(request.param, monkeypatch, tmp_path)


def scene_of(name: str, patch: pytest.MonkeyPatch, project: Path) -> Scene:
    return set_scene(shape(name), patch, project)


def test_a_crash_at_every_call_ends_in_the_same_table(scene: Scene) -> None:
    check_every_death(scene, EVERY)


def test_crashes_in_a_row_end_in_the_same_table(scene: Scene) -> None:
    alone = undisturbed(scene)
    first = deaths(alone.calls)
    rng = random.Random(scene.shape.name)
    for length, count in ((2, PAIRS), (3, TRIPLES)):
        for chain in islice(chains(scene, first, length, rng), count):
            check_goes_on(scene, chain, alone.ended)


def _kinds(store: Kept) -> list[list[str]]:
    """The kinds of the entries of each journal object."""
    contents = sorted(store.contents().items())
    objects = [json.loads(data) for key, data in contents if "/journal/" in key]
    return [[entry["kind"] for entry in content["entries"]] for content in objects]


MET: dict[str, Callable[[Kept], object]] = {
    "rows as they are": lambda store: ["receipt"] * 3 in _kinds(store),
    "sql with rows carried over": lambda store: _kinds(store).count(["receipt"]) == 9,
    "python": lambda store: _kinds(store).count(["epoch"]) == 3,
    "units that fail once": lambda store: _kinds(store).count(["failed"]) == 2,
    "a unit that is divided": lambda store: sum(kinds.count("split") for kinds in _kinds(store)) == 3,
    "resumed once": lambda store: _kinds(store).count(["epoch"]) == 2,
    "sql per partition": lambda store: any("/snapshots/" in key for key in store.contents()),
}


@pytest.mark.parametrize("name", MET)
def test_a_shape_meets_what_it_is_there_for(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = scene_of(name, monkeypatch, tmp_path)
    store = Kept()
    scene.start(store)
    scene.drive(store)
    assert MET[name](store), _kinds(store)


def test_a_process_that_dies_leaves_what_was_kept_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What tests go on from is taken from a run that lives on. One that really dies there, with all that
    its code does on the way out, leaves the same."""
    scene = set_scene(replace(shape("small"), plans=True), monkeypatch, tmp_path)
    alone = undisturbed(scene)
    found = deaths(alone.calls)
    # (call, after its effect) -> what is left
    calls = [(call, death.left) for death in found for call in death.before]
    kept = {(call.number, False): left for call, left in calls}
    # Some of these have no effect: a create that is refused.
    kept |= {(call.number, True): left for call, left in calls if call.verb in CHANGES}
    kept |= {(death.after.number, True): death.left for death in found if death.after is not None}
    changes = [call for call in alone.calls.calls if call.verb in CHANGES]
    assert len(kept) == len(alone.calls.calls) + len(changes) > 120
    for (at, after), left in kept.items():
        store = alone.start.copy_of_all()
        dying = CrashingStore(store, at, after=after)
        with pytest.raises(Crashed):
            scene.drive(dying)
        assert dying.calls[:at] == [call.verb for call in alone.calls.calls[:at]]
        assert nameless(store) == nameless(left), (at, after)


def nameless(store: Kept) -> Counter[str]:
    """The keys, without the IDs that each run, attempt and probe makes up."""
    random_names = re.compile(r"orders-\d{8}T\d{6}Z-\w{4}|(?<=/)[0-9a-f]{12}(?=[/-])")
    return Counter(random_names.sub("ID", key) for key in store.contents())


def test_rows_out_of_scope_are_kept_and_others_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = scene_of("sql with rows carried over", monkeypatch, tmp_path)
    found = rows_by_path(undisturbed(scene).ended.table)
    first_day = [row for path, rows in found.items() if "2025-01-01" in path for row in rows]
    new = [(id, value) for id, shop, value in first_day if shop == "a"]
    assert sorted(new) == [(100, 2), (110, 6)]
    kept = [row for row in first_day if row[1] != "a"]
    old = [row for path, rows in OLD.items() if "2025-01-01" in path for row in rows]
    assert sorted(kept) == sorted(row for row in old if row[1] == "b")
    assert not [path for path in found if "spark" in path]


def test_nothing_of_ours_lies_under_the_target_and_what_was_replaced_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = scene_of("rows as they are", monkeypatch, tmp_path)
    store = Kept()
    scene.start(store)
    scene.drive(store)
    keys = sorted(store.contents())
    assert [key for key in keys if key.startswith("/lake/gold/orders/")] == [
        "/lake/gold/orders/dt=2025-01-01/part-00000.parquet",
        "/lake/gold/orders/dt=2025-01-01/part-00001.parquet",
        # Overwritten by a file without rows.
        "/lake/gold/orders/dt=2025-01-01/written-by-spark.parquet",
        "/lake/gold/orders/dt=2025-01-02/part-00000.parquet",
        "/lake/gold/orders/dt=2025-01-02/part-00001.parquet",
        "/lake/gold/orders/dt=2025-01-03/part-00000.parquet",
    ]
    kept = [key for key in keys if "/previous/" in key]
    assert sorted(key.rsplit("/", 1)[1] for key in kept) == [
        "part-00000.parquet.previous",
        "part-00001.parquet.previous",
        "written-by-spark.parquet.previous",
    ]
    version = json.loads(store.contents()["/lake/gold/_raybackfill/tables/orders/versions/0000000001.json"])
    assert len(version["files"]) == 6
    assert len(version["retired"]) == 3
    assert [file["path"] for file in version["files"] if file["rows"] == 0] == [
        "dt=2025-01-01/written-by-spark.parquet"
    ]


def test_status_follows_units_and_partitions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three units of a partition each: after two of them, the third waits; then all are published."""
    scene = scene_of("sql per partition", monkeypatch, tmp_path)
    store = Kept()
    scene.start(store)
    looks = iter((False, False, True))
    with this_process(store):
        with pytest.raises(TransientError, match="interrupted"):
            scene.asked.run(engine="inline", as_of=AS_OF, stop_asked=lambda: next(looks))
        stopped = scene.asked.newest_run()
        status = stopped.status()
        assert status["state"] == "stopped"
        assert status["exit_code"] == 3
        assert status["partitions"] == {"total": 3, "waiting": 1, "staged": 2, "published": 0, "failed": 0}
        done = stopped.resume(engine="inline").status()
    assert done["partitions"] == {"total": 3, "waiting": 0, "staged": 0, "published": 3, "failed": 0}
    assert done["rows"]["out"] == 6
    assert done["files"] == {"staged": 3, "published": 3}
    assert ended(scene, store).status["state"] == "published"
