"""Runs a shape as processes that die: which calls of the store there are, what stands after each, and what a run goes on to from there."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from raybackfill.api import Backfill, Run
from raybackfill.control.proving.slots import Content, Slot
from raybackfill.errors import RaybackfillError
from raybackfill.paths import key_of
from raybackfill.storage.memory import MemoryStore
from raybackfill.table import Table
from raybackfill.table.view import View, repair_view
from tests.faults.shapes import ALWAYS, UNPROBED, Shape
from tests.stores import CHANGES, VERBS, Crashed, backfill, key_of_call, this_process

AS_OF = "2025-02-01"
ALL = os.environ.get("RAYBACKFILL_CRASHES") == "all"
"""`make crashes` tries every death of every shape, `make test` some of each shape's."""
EVERY = 1 if ALL else 4
PAIRS, TRIPLES = (6, 2) if ALL else (2, 1)
"""Of several deaths in a row so many are tried for each shape."""


class Kept(MemoryStore):
    """A memory store that can be copied at any time. Copies share their tags' numbers: a tag is never
    given twice, whatever was lost in between."""

    scheme = "file"
    _shared_numbers = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self._numbers = self._shared_numbers

    def copy_of_all(self) -> Kept:
        made = Kept()
        with self._lock:
            made._objects, made._keys = dict(self._objects), list(self._keys)
        return made

    def holds_the_same_as(self, other: Kept) -> bool:
        return self._objects == other._objects

    def contents(self) -> dict[str, bytes]:
        with self._lock:
            return {key: there.data for key, there in self._objects.items()}


class Troubled:
    """Passes all on, but meets each error once, where an object is opened whose key ends so."""

    def __init__(self, store: Any, errors: dict[str, RaybackfillError]) -> None:
        self._store = store
        self._errors = errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def open(self, info: Any, *, whole: bool) -> Any:
        for end in self._errors:
            if info.key.endswith(end):
                raise self._errors.pop(end)
        return self._store.open(info, whole=whole)


@dataclass
class Scene:
    """A shape in a place: its lake at `uri`, its project in a folder. `start` brings all to where
    crashes begin; `before` is then what the table held, path -> bytes."""

    shape: Shape
    uri: str
    project: Path
    plan_id: str = ""
    before: dict[str, bytes] | None = None

    @property
    def root(self) -> str:
        return key_of(self.uri)

    @property
    def target(self) -> str:
        return f"{self.root}/gold/orders/"

    @cached_property
    def asked(self) -> Backfill:
        return self._backfill(self.shape.config)

    def _backfill(self, config: str) -> Backfill:
        return backfill(config.replace("/lake/", f"{self.uri}/"), self.project)

    def process(self, store: Any) -> AbstractContextManager[None]:
        """A process of its own, which meets the shape's trouble anew."""
        trouble = self.shape.trouble()
        return this_process(Troubled(store, trouble) if trouble else store)

    def start(self, store: Any) -> None:
        shape = self.shape
        shape.lake(lambda path, data: store.put(f"{self.root}/{path}", data))
        with this_process(store):
            if shape.earlier:
                self._backfill(shape.earlier).run(engine="inline", as_of=AS_OF)
            if not shape.plans:
                plan = self.asked.plan(AS_OF)
                self.plan_id = plan.id
                if shape.begun is not None:
                    shape.begun(self.asked, plan)
            if shape.cut_off:
                with dies_within_publish():
                    self._backfill(shape.cut_off).run(engine="inline", as_of=AS_OF)
        self.before = self._held(store)

    def _held(self, store: Any) -> dict[str, bytes]:
        """What the table holds; where a publish was cut off, as that one meant it."""
        if self.shape.cut_off:
            store = store.copy_of_all()
            repair_view(Table(store, store, self.target.rstrip("/")))
        return {key[len(self.target) :]: store.read(key).to_pybytes() for key in keys_of(store, self.target)}

    def drive(self, store: Any) -> None:
        """Begin the run, or go on with it, as an operator does who knows of no run or of one."""
        with self.process(store):
            run = self.go_on()
        gate = run.gate.name if run.gate else ""
        assert gate == self.shape.gate, f"refused by {gate!r}"

    def go_on(self) -> Run:
        run = self._go_on()
        if self.asked.spec.publish == "manual":
            assert run.gate or run.status()["state"] in ("staged", "published")
            return run if run.gate else run.publish(engine="inline", take_over=True)
        return run

    def _go_on(self) -> Run:
        asked = self.asked
        runs = asked.runs()
        if runs:
            # The driver that died is this very process, so that he seems to live.
            replans = self.shape.replans
            return runs[0].resume(engine="inline", take_over=True, replan_changed=replans)
        if self.plan_id:
            return asked.run(asked.open_plan(self.plan_id), engine="inline")
        return asked.run(engine="inline", as_of=AS_OF)


@contextmanager
def dies_within_publish() -> Iterator[None]:
    """A process that dies once it has brought one path to its version."""
    acts = itertools.count(1)
    really = View._act

    def act(view: View, slot: Slot, there: Content | None) -> bool:
        if next(acts) > 1:
            raise Crashed("within the publish")
        return really(view, slot, there)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crashed):
        patch.setattr(View, "_act", act)
        yield


def set_scene(shape: Shape, patch: pytest.MonkeyPatch, project: Path, uri: str = "/lake") -> Scene:
    unprobed = {} if shape.probes else UNPROBED
    for name, value in {**ALWAYS, **unprobed, **shape.patches}.items():
        patch.setattr(name, value)
    for name, text in shape.project.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return Scene(shape, uri, project)


def keys_of(store: Any, prefix: str) -> list[str]:
    page = store.page(prefix)
    assert page.after is None, "a lake of tests is one page"
    found: list[str] = page.objects["key"].to_pylist()
    return found


@dataclass(frozen=True)
class Call:
    number: int
    verb: str
    key: str

    def __str__(self) -> str:
        return f"{self.number} ({self.verb} {self.key})"


class Watched:
    """Passes every call on, one at a time, notes it, and keeps what stood in the store after each
    call that changed it: that is what a process leaves that dies there, since all it does later never
    comes."""

    scheme = "file"

    def __init__(self, store: Kept) -> None:
        self._store = store
        self._lock = Lock()
        self.calls: list[Call] = []
        self.left: list[tuple[Call | None, Kept]] = [(None, store.copy_of_all())]

    def __getattr__(self, verb: str) -> Any:
        if verb not in VERBS:
            raise AttributeError(verb)
        return self.noted(verb, getattr(self._store, verb))

    def noted(self, verb: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            with self._lock:
                noted = Call(len(self.calls) + 1, verb, key_of_call(verb, args))
                self.calls.append(noted)
                result = act(*args, **options)
                if verb in CHANGES and not self._store.holds_the_same_as(self.left[-1][1]):
                    self.left.append((noted, self._store.copy_of_all()))
            return _Upload(self, noted.key, result) if verb == "upload" else result

        return call


class _Upload:
    def __init__(self, watched: Watched, key: str, upload: Any) -> None:
        self.write = upload.write
        self.abort = upload.abort
        commit = watched.noted("commit", lambda _, **conditions: upload.commit(**conditions))
        self.commit = lambda **conditions: commit(key, **conditions)


@dataclass(frozen=True)
class Death:
    """What a process left that died after one call and before the effect of the next that changes
    something, which is the last of `before`. The others change nothing: whether it died before or after
    any of them is all the same."""

    after: Call | None
    before: tuple[Call, ...]
    left: Kept

    def __str__(self) -> str:
        first = f"after call {self.after}" if self.after else "at the beginning"
        return f"{first}, or before any of {len(self.before)} calls: {', '.join(map(str, self.before))}"


def deaths(watched: Watched) -> list[Death]:
    """All that a process can leave that dies at a call, before or after its effect: every one of its
    calls is in one of them as `before`, every one that changes something in one as `after`."""
    changes = [call.number for call, _ in watched.left if call is not None]
    spans = zip([0, *changes], [*changes, len(watched.calls)], strict=True)
    calls = [tuple(watched.calls[start:end]) for start, end in spans]
    return [Death(after, before, left) for (after, left), before in zip(watched.left, calls, strict=True)]


def watched_run(scene: Scene, store: Kept) -> Watched:
    """Drive the scene's run to its end, under watch."""
    watched = Watched(store)
    scene.drive(watched)
    return watched


def chains(scene: Scene, first: list[Death], length: int, rng: random.Random) -> Iterator[list[Death]]:
    """Endless: `length` deaths one after the other, each in what the one before left."""
    while True:
        chain = [rng.choice(first)]
        while len(chain) < length:
            chain.append(rng.choice(deaths(watched_run(scene, chain[-1].left.copy_of_all()))))
        yield chain
