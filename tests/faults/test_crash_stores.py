"""P1 on a local disk and on S3: a crash at each kind of call, and at a sample of the rest, ends in the same table."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raybackfill.paths import default_state, scratch
from raybackfill.spec.values import StorageSpec
from raybackfill.storage.local import LocalStore, files
from raybackfill.storage.meter import Meter
from raybackfill.storage.s3 import S3Store
from tests.faults.checks import Ended, ended, rows_by_path
from tests.faults.crashes import Scene, keys_of, set_scene
from tests.faults.shapes import shape
from tests.stores import CHANGES, Crashed, CrashingStore

AREAS = ("/probe/", "/journal/", "/snapshots/", "/versions/", "receipt", "/staged/", "/previous/", "/raw/")
AREAS += ("/gold/orders/", "/driver.json", "/run.json", "/plans/", "/runs/")
# A run on S3 takes about a second, one on a disk a tenth of it.
MORE_ON_S3 = 2
MORE_WITHIN_VERBS = 15

Kind = Callable[[str, str], Hashable]
"""What kind of call it is, by its verb and its key."""


def area(key: str) -> str:
    return next((part for part in AREAS if part in key), "")


def local_store(root: Path) -> LocalStore:
    """As wiring.py makes it for a table below this root."""
    return LocalStore(Meter(), scratch=scratch(default_state(f"{root}/gold/orders")))


class Place:
    """A shape's lake on a real store, started once and saved there, so that it can be begun from again
    and again. What is saved keeps its tags, which the plan has pinned."""

    def __init__(self, scene: Scene, store: Any) -> None:
        self.scene = scene
        self.store = store
        self._saved = f"{scene.root}-saved"
        scene.start(store)
        for key in keys_of(store, scene.root + "/"):
            store.copy(key, self._saved + key[len(scene.root) :])

    def begin_again(self) -> None:
        root = self.scene.root
        if isinstance(self.store, LocalStore):
            # Its folders and temporary files too.
            shutil.rmtree(root)
        else:
            for key in keys_of(self.store, root + "/"):
                self.store.delete(key)
        for key in keys_of(self.store, self._saved + "/"):
            self.store.copy(key, root + key[len(self._saved) :])

    def undisturbed(self) -> tuple[CrashingStore, Ended]:
        calls = CrashingStore(self.store, scheme=self.store.scheme)
        self.scene.drive(calls)
        found = ended(self.scene, self.store)
        assert rows_by_path(found.table) == self.scene.shape.table
        return calls, found

    def check_goes_on(self, expected: Ended, death: object) -> None:
        self.scene.drive(self.store)
        assert ended(self.scene, self.store) == expected, death


def one_of_each(found: Iterable[tuple[Hashable, Any]], more: int, seed: int) -> list[Any]:
    """Of (kind, item) one item of each kind, and `more` of the rest."""
    shuffled = list(found)
    random.Random(seed).shuffle(shuffled)
    first: dict[Hashable, Any] = {}
    for kind, item in shuffled:
        first.setdefault(kind, item)
    rest = [item for kind, item in shuffled if first[kind] != item]
    return [*first.values(), *rest[:more]]


def deaths(calls: CrashingStore, kind: Kind) -> list[tuple[Hashable, Any]]:
    """(kind, (call, after its effect)) of each way to die; `kind` is asked for a verb and a key."""
    found = []
    for at, (verb, key) in enumerate(zip(calls.calls, calls.keys, strict=True), 1):
        for after in (False, True) if verb in CHANGES else (False,):
            found.append(((kind(verb, key), after), (at, after)))
    return found


def check_deaths(place: Place, chosen: Sequence[tuple[int, bool]], expected: Ended) -> None:
    for at, after in chosen:
        place.begin_again()
        dying = CrashingStore(place.store, at, after=after, scheme=place.store.scheme)
        with pytest.raises(Crashed):
            place.scene.drive(dying)
        place.check_goes_on(expected, (at, after, dying.calls[at - 1], dying.keys[at - 1]))


def by_verb_and_place(verb: str, key: str) -> Hashable:
    return verb, area(key)


def by_verb(verb: str, key: str) -> Hashable:
    return verb


@pytest.mark.parametrize(
    ("name", "kind", "more"), [("small", by_verb_and_place, 15), ("repair in place", by_verb, 5)]
)
def test_crashes_on_a_local_disk_end_in_the_same_table(
    name: str, kind: Kind, more: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "lake"
    place = Place(set_scene(shape(name), monkeypatch, tmp_path, str(root)), local_store(root))
    calls, expected = place.undisturbed()
    check_deaths(place, one_of_each(deaths(calls, kind), more, seed=1), expected)


def test_crashes_on_s3_end_in_the_same_table(
    s3_bucket: str, s3_storage: StorageSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = set_scene(replace(shape("small"), probes=False), monkeypatch, tmp_path, f"s3://{s3_bucket}/lake")
    place = Place(scene, S3Store(s3_storage, Meter()))
    calls, expected = place.undisturbed()
    kinds = deaths(calls, by_verb)
    assert len({kind for kind, _ in kinds}) >= 13
    check_deaths(place, one_of_each(kinds, MORE_ON_S3, seed=2), expected)


class Steps:
    """The steps that verbs take on a disk: counts them, and dies before one of them. Nothing is done after
    that, nor cleaned up."""

    NAMES = ("make_folder", "finish", "create", "replace", "duplicate", "_settle", "sync_folder")

    def __init__(self, patch: pytest.MonkeyPatch, at: int | None = None) -> None:
        self.found: list[tuple[str, str]] = []
        self._at = at
        for name in self.NAMES:
            patch.setattr(files, name, self._step(name, getattr(files, name)))
        patch.setattr(Path, "unlink", self._step("unlink", Path.unlink))

    def _step(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **options: Any) -> Any:
            # What is brought to its place is named second.
            place = args[1] if name in ("create", "replace", "_settle") else args[0]
            self.found.append((name, area(f"{place}/")))
            if self._at is not None and len(self.found) >= self._at:
                raise Crashed(name)
            return act(*args, **options)

        return step


def disk(patch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Place, Ended, list[tuple[str, str]]]:
    """A lake on a disk, what its run ends in, and the steps that the run takes."""
    root = tmp_path / "lake"
    place = Place(set_scene(shape("small"), patch, tmp_path, str(root)), local_store(root))
    with pytest.MonkeyPatch.context() as steps_patch:
        steps = Steps(steps_patch)
        _, expected = place.undisturbed()
    return place, expected, steps.found


def check_dies_before_step(place: Place, expected: Ended, at: int) -> None:
    place.begin_again()
    with pytest.MonkeyPatch.context() as steps_patch:
        steps = Steps(steps_patch, at)
        with pytest.raises(Crashed):
            place.scene.drive(place.store)
    place.check_goes_on(expected, (at, steps.found[at - 1]))


def made(steps: list[tuple[str, str]]) -> int:
    """The step that brings run.json to its place: the run's folder is there by then."""
    return steps.index(("_settle", "/run.json")) + 1


def test_crashes_between_the_steps_of_a_verb_on_a_disk_end_in_the_same_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place, expected, steps = disk(monkeypatch, tmp_path)
    assert {name for name, _ in steps} == {*Steps.NAMES, "unlink"}
    later = [(step, at) for at, step in enumerate(steps, 1) if at > made(steps)]
    for at in one_of_each(later, MORE_WITHIN_VERBS, seed=3):
        check_dies_before_step(place, expected, at)


def test_a_crash_while_a_run_is_being_made_on_a_disk_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It may leave the run's folder with nothing in it."""
    place, expected, steps = disk(monkeypatch, tmp_path)
    for at in range(1, made(steps) + 1):
        check_dies_before_step(place, expected, at)
