"""A publish that dies at any call goes on to the same table, whatever earlier publishes left of theirs."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest

from tests.faults.checks import check_every_death, check_goes_on, undisturbed
from tests.faults.crashes import EVERY, PAIRS, Kept, Scene, chains, deaths, set_scene
from tests.faults.publishes import PUBLISHES
from tests.stores import rows_of


@pytest.fixture(params=PUBLISHES, ids=lambda shape: shape.name.replace(" ", "_"))
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scene:
    return set_scene(request.param, monkeypatch, tmp_path)


def test_a_crash_at_every_call_ends_in_the_same_table(scene: Scene) -> None:
    check_every_death(scene, EVERY)


def test_crashes_in_a_row_end_in_the_same_table(scene: Scene) -> None:
    alone = undisturbed(scene)
    for chain in islice(chains(scene, deaths(alone.calls), 2, random.Random(scene.shape.name)), PAIRS):
        check_goes_on(scene, chain, alone.ended)


def test_the_shapes_leave_what_they_are_named_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for shape in PUBLISHES:
        scene = set_scene(shape, monkeypatch, tmp_path)
        store = Kept()
        scene.start(store)
        found = rows_of(store, scene.target)
        empty = [path for path, rows in found.items() if not rows]
        versions = store.page("/lake/gold/_raybackfill/tables/orders/versions/").objects.num_rows
        assert versions == 1, shape.name
        assert bool(empty) == bool(shape.earlier), shape.name
        shown = store.page("/lake/gold/_raybackfill/tables/orders/shown/").objects.num_rows
        assert shown == (0 if shape.cut_off else 1), shape.name
