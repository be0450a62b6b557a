"""A publisher that sleeps before a step of its publish, and wakes after a newer run has published."""

from __future__ import annotations

from collections.abc import Callable
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


def published_over(newer: Scene) -> Callable[[], object]:
    """What a newer run does meanwhile: it finishes the sleeper's publish, and publishes over it."""

    def act() -> object:
        run = newer.asked.run(engine="inline", as_of=AS_OF)
        assert run.gate is None, run.gate
        return run

    return act


def taken_back(scene: Scene) -> Callable[[], object]:
    """What an operator does meanwhile: he has the run finished, and takes it back."""

    def act() -> object:
        run = scene.asked.newest_run().resume(engine="inline", take_over=True)
        ended = run.rollback(take_over=True)
        assert ended.gate is None, ended.gate
        return ended

    return act


def overtaken(
    scene: Scene, meanwhile: Callable[[], object], start: Kept, at: int, *, keeps_conditions: bool
) -> tuple[Kept, dict[str, bytes], Run | BaseException | None]:
    """Stop the first driver before call `at` of its publish, let others act meanwhile, then let the first go
    on. The store then, what the table held before that, and what the first ended in."""
    store = start.copy_of_all()
    cut_off = CutOff(store, at)
    with several_processes() as processes:
        first = First(scene, cut_off if keeps_conditions else LooksFirst(cut_off), processes)
        first.start()
        try:
            assert cut_off.stopped.wait(GIVE_UP_SECONDS), f"there is no call {at}"
            processes.begin(store)
            meanwhile()
            left = table_bytes(scene, store)
        finally:
            cut_off.goes_on.set()
            first.join(GIVE_UP_SECONDS)
        assert not first.is_alive()
    assert isinstance(first.outcome, Run | RaybackfillError), repr(first.outcome)
    return store, left, first.outcome


def table_bytes(scene: Scene, store: Kept) -> dict[str, bytes]:
    return {key: data for key, data in store.contents().items() if key.startswith(scene.target)}


def check_every_sleep(scene: Scene, meanwhile: Callable[[], object]) -> None:
    """AssertionError where a publisher that slept before some step brings something back."""
    start = started(scene)
    for call in steps_of_publish(scene, start, keeps_conditions=True):
        store, left, outcome = overtaken(scene, meanwhile, start, call.number, keeps_conditions=True)
        assert table_bytes(scene, store) == left, f"slept before {call}, then {outcome!r}"


def started(scene: Scene) -> Kept:
    store = Kept()
    scene.start(store)
    return store
