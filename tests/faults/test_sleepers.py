"""P2: a publisher that slept cannot bring a file back over a newer publish; where the store has no conditions the next command mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.crashes import AS_OF, Scene, set_scene
from tests.faults.publishes import FIRST, NEWER, SLEEPING
from tests.faults.sleepers import (
    check_every_sleep,
    overtaken,
    published_over,
    started,
    steps_of_publish,
    table_bytes,
    taken_back,
)
from tests.stores import this_process

LATER = FIRST.replace("first", "later") + "scope: {start: 2025-01-03, end: 2025-01-04}\n"


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Scene, Scene]:
    return set_scene(SLEEPING, monkeypatch, tmp_path), set_scene(NEWER, monkeypatch, tmp_path)


def test_a_publisher_that_slept_before_any_step_changes_nothing(scenes: tuple[Scene, Scene]) -> None:
    scene, newer = scenes
    check_every_sleep(scene, published_over(newer))


def test_one_whose_run_was_taken_back_meanwhile_changes_nothing(scenes: tuple[Scene, Scene]) -> None:
    """What came back has another tag than what it was about to replace."""
    check_every_sleep(scenes[0], taken_back(scenes[0]))


def test_without_conditional_copies_an_old_file_comes_back_until_the_next_command(
    scenes: tuple[Scene, Scene],
) -> None:
    scene, newer = scenes
    start = started(scene)
    came_back = 0
    for call in steps_of_publish(scene, start, keeps_conditions=False):
        store, left, outcome = overtaken(
            scene, published_over(newer), start, call.number, keeps_conditions=False
        )
        came_back += table_bytes(newer, store) != left
        with this_process(store):
            newer._backfill(LATER).run(engine="inline", as_of=AS_OF)
        assert others(table_bytes(newer, store)) == others(left), f"slept before {call}, then {outcome!r}"
    assert came_back, "no sleeper did any harm: the store is not as it was meant"


def others(table: dict[str, bytes]) -> dict[str, bytes]:
    """Without the day that the later command publishes."""
    return {key: data for key, data in table.items() if "dt=2025-01-03" not in key}
