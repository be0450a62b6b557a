"""A publisher that sleeps before a step of its publish, and wakes after a newer run has published."""

from __future__ import annotations

from typing import Any

from raybackfill.api import Run
from raybackfill.errors import RaybackfillError
from raybackfill.storage import ObjectInfo, allows
from tests.faults.crashes import AS_OF, Call, Kept, Scene, Watched
from tests.faults.test_two_drivers import GIVE_UP_SECONDS, CutOff, First, several_processes
from tests.stores import CHANGES


class LooksFirst:
    """As most stores that look like S3, it knows no condition on what a copy replaces: that is looked at
    before, and between the two a process may sleep."""

    scheme = "file"

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def copy(
        self,
        source: str,
        key: str,
        *,
        tag: str | None = None,
        create: bool = False,
        replaces: str | None = None,
    ) -> ObjectInfo | None:
        if not allows(self._store.head(key), create=create, replaces=replaces):
            return None
        made: ObjectInfo | None = self._store.copy(source, key, tag=tag)
        return made


def steps_of_publish(scene: Scene, start: Kept, *, keeps_conditions: bool) -> list[Call]:
    """The calls about paths of the table, from the version on: looks and changes."""
    watched = Watched(start.copy_of_all())
    scene.drive(watched if keeps_conditions else LooksFirst(watched))
    version = next(call.number for call in watched.calls if "/versions/" in call.key and call.verb == "put")
    about = [call for call in watched.calls[version:] if call.key.startswith(scene.target)]
    return [call for call in about if call.verb in CHANGES or call.verb == "head"]


def overtaken_by_a_newer_run(
    scene: Scene, newer: Scene, start: Kept, at: int, *, keeps_conditions: bool
) -> tuple[Kept, dict[str, bytes], Run | BaseException | None]:
    """Stop the first driver before call `at` of its publish, let a newer run finish that and publish over it,
    then let the first go on. The store then, what the table held before that, and what the first
    ended in."""
    store = start.copy_of_all()
    cut_off = CutOff(store, at)
    with several_processes() as processes:
        first = First(scene, cut_off if keeps_conditions else LooksFirst(cut_off), processes)
        first.start()
        try:
            assert cut_off.stopped.wait(GIVE_UP_SECONDS), f"there is no call {at}"
            processes.begin(store)
            newer.asked.run(engine="inline", as_of=AS_OF)
            left = table_bytes(newer, store)
        finally:
            cut_off.goes_on.set()
            first.join(GIVE_UP_SECONDS)
        assert not first.is_alive()
    assert isinstance(first.outcome, Run | RaybackfillError), repr(first.outcome)
    return store, left, first.outcome


def table_bytes(scene: Scene, store: Kept) -> dict[str, bytes]:
    return {key: data for key, data in store.contents().items() if key.startswith(scene.target)}


def check_every_sleep_under_a_newer_run(scene: Scene, newer: Scene) -> None:
    """AssertionError where a publisher that slept before some step brings something back."""
    start = started(scene)
    for call in steps_of_publish(scene, start, keeps_conditions=True):
        store, left, outcome = overtaken_by_a_newer_run(
            scene, newer, start, call.number, keeps_conditions=True
        )
        assert table_bytes(newer, store) == left, f"slept before {call}, then {outcome!r}"


def started(scene: Scene) -> Kept:
    store = Kept()
    scene.start(store)
    return store
