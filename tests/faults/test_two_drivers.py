"""A driver that stops for a while at any call of the store, and goes on after another finished its run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread, local
from typing import Any

import pytest

from raybackfill import wiring, worker
from raybackfill.api import Run
from raybackfill.errors import RaybackfillError
from raybackfill.paths import RunPaths
from tests.faults.checks import Undisturbed, ended, undisturbed
from tests.faults.crashes import Kept, Scene, set_scene
from tests.faults.shapes import shape
from tests.stores import VERBS

# A driver that never comes back is a failure, and is told of after so long.
GIVE_UP_SECONDS = 60.0


class CutOff:
    """Passes all on; but before call `at` has any effect, that call and all later ones wait until
    `goes_on` is set. They hold nothing meanwhile that others need."""

    scheme = "file"

    def __init__(self, store: Kept, at: int) -> None:
        self._store = store
        self._at = at
        self._lock = Lock()
        self._calls = 0
        self.verb = ""
        self.stopped = Event()
        self.goes_on = Event()

    def __getattr__(self, verb: str) -> Any:
        if verb not in VERBS:
            raise AttributeError(verb)
        return self.waiting(verb, getattr(self._store, verb))

    def waiting(self, verb: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self._is_over(verb):
                self.stopped.set()
                assert self.goes_on.wait(GIVE_UP_SECONDS), "nobody let it go on"
            result = act(*args, **options)
            return _Upload(self, result) if verb == "upload" else result

        return call

    def _is_over(self, verb: str) -> bool:
        with self._lock:
            self._calls += 1
            if self._calls == self._at:
                self.verb = verb
            return self._calls >= self._at


class _Upload:
    def __init__(self, store: CutOff, upload: Any) -> None:
        self.write = upload.write
        self.abort = upload.abort
        self.commit = store.waiting("commit", upload.commit)


class Processes:
    """Each thread that drives is a process of its own: it has its store, and what its worker keeps."""

    def __init__(self) -> None:
        self._of_this = local()

    def begin(self, store: Any) -> None:
        self._of_this.store, self._of_this.benches = store, {}

    def open_store(self, *_: object) -> Any:
        return self._of_this.store

    # What worker.py does with the benches of its process.
    def get(self, root: str) -> Any:
        return self._of_this.benches.get(root)

    def clear(self) -> None:
        self._of_this.benches.clear()

    def __setitem__(self, root: str, bench: Any) -> None:
        self._of_this.benches[root] = bench


@contextmanager
def several_processes() -> Iterator[Processes]:
    processes = Processes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "open_store", processes.open_store)
        patch.setattr(worker, "_benches", processes)
        yield processes


class First(Thread):
    """Drives the scene's run; `outcome` is what that ended in."""

    def __init__(self, scene: Scene, store: CutOff, processes: Processes) -> None:
        super().__init__(daemon=True)
        self._scene = scene
        self._store = store
        self._processes = processes
        self.outcome: Run | BaseException | None = None

    def run(self) -> None:
        self._processes.begin(self._store)
        try:
            self.outcome = self._scene.go_on()
        except BaseException as error:
            self.outcome = error


def overtaken(scene: Scene, alone: Undisturbed, at: int) -> Run | BaseException | None:
    """Stop the first driver before call `at`, let a second finish the run, let the first go on; what the
    first ended in. AssertionError unless all is then as the second left it."""
    store = alone.start.copy_of_all()
    cut_off = CutOff(store, at)
    with several_processes() as processes:
        first = First(scene, cut_off, processes)
        first.start()
        try:
            assert cut_off.stopped.wait(GIVE_UP_SECONDS), f"there is no call {at}"
            assert cut_off.verb == alone.calls.calls[at - 1].verb
            processes.begin(store)
            scene.go_on()
            left = store.contents()
            expected = ended(scene, store)
            assert expected == alone.ended
        finally:
            cut_off.goes_on.set()
            first.join(GIVE_UP_SECONDS)
        assert not first.is_alive()
    where = f"call {alone.calls.calls[at - 1]}, then {first.outcome!r}"
    _check_unchanged(scene, left, store.contents(), where)
    if len(_runs(left)) == len(_runs(store.contents())):
        assert ended(scene, store) == expected, where
    return first.outcome


def _runs(contents: dict[str, bytes]) -> list[str]:
    return [key for key in contents if key.endswith("/run.json")]


def _check_unchanged(scene: Scene, left: dict[str, bytes], now: dict[str, bytes], where: str) -> None:
    """Nothing of the table or of the second driver's run is gone or other. Signs of life and
    probes count for nothing. New are at most files that an attempt of the first staged, an empty file for
    a version that it did not make, an epoch record, or a run of its own that came to nothing."""
    left = {
        key: data for key, data in left.items() if not key.endswith("/driver.json") and "/probe/" not in key
    }
    changed = [key for key, data in left.items() if now.get(key) != data]
    assert not changed, f"{where}: changed {changed}"
    (run,) = (RunPaths.of_root(key.removesuffix("/run.json")) for key in _runs(left))
    allowed = (run.staged, run.journal, run.driver, f"{run.root}/empty/")
    new = [key for key in now if key not in left]
    others = f"{scene.root}/gold/_raybackfill/orders/runs/"
    harmful = [key for key in new if not key.startswith(allowed) and not _of_another_run(key, run, others)]
    assert not harmful, f"{where}: new {harmful}"
    entries = [
        entry for key in new if key.startswith(run.journal) for entry in json.loads(now[key])["entries"]
    ]
    assert {entry["kind"] for entry in entries} <= {"epoch"}, f"{where}: new {entries}"


def _of_another_run(key: str, run: RunPaths, runs: str) -> bool:
    return key.startswith(runs) and not key.startswith(run.root)


def check_every_sleep(scene: Scene, about: str = "") -> None:
    """AssertionError where a driver that slept before some call harms what another one finished meanwhile,
    or is not told what became of its run. `about`: only calls with this in their key."""
    alone = undisturbed(scene)
    calls = alone.calls.calls
    entries = [call.number for call in calls if call.verb == "put" and "/journal/" in call.key]
    for call in (call for call in calls if about in call.key):
        outcome = overtaken(scene, alone, call.number)
        where = f"call {call}: {outcome!r}"
        assert isinstance(outcome, Run | RaybackfillError), where
        if entries[0] < call.number <= entries[-1]:
            assert not isinstance(outcome, Run), where
            assert outcome.exit_code == 5, where


def test_a_driver_that_slept_before_any_call_is_fenced_or_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check_every_sleep(set_scene(shape("small"), monkeypatch, tmp_path))
