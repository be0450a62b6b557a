"""Runs as they lie in the state folder: made once, found again, and carried out."""

from __future__ import annotations

import json
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raybackfill.checkpoint import Checkpoint
from raybackfill.control.planning.plan import Plan, recipe_document
from raybackfill.control.running.ledger import FINAL
from raybackfill.control.running.status import run_status
from raybackfill.driver import Clock, Gate, Job, carry_out
from raybackfill.engines import Engine
from raybackfill.errors import RaybackfillError, SpecError, TransientError
from raybackfill.flow.publish import Publication
from raybackfill.observe import Listener
from raybackfill.paths import PlanPaths, RunPaths, key_of, runs
from raybackfill.planning.store import load_plan
from raybackfill.spec import BackfillSpec
from raybackfill.storage import ObjectStore
from raybackfill.storage.listing import list_folders
from raybackfill.storage.meter import KINDS, Meter
from raybackfill.table import Table
from raybackfill.version import VERSION
from raybackfill.wiring import Stores, make_engine
from raybackfill.worker import UnitWork


@dataclass(frozen=True)
class OpenedRun:
    """A run with its plan. `document` is its run.json."""

    paths: RunPaths
    plan: Plan
    stores: Stores
    document: dict[str, Any]

    @property
    def uri(self) -> str:
        return str(self.document["run_uri"])

    @property
    def is_finished(self) -> bool:
        return Checkpoint(self.stores.state, self.paths).ledger.state in FINAL

    def status(self) -> dict[str, Any]:
        checkpoint = Checkpoint(self.stores.state, self.paths)
        first = self.document["created_at"]
        return run_status(
            self.document,
            self.plan.summary,
            self.plan.units_table,
            checkpoint.ledger,
            first,
            checkpoint.last_at or first,
        )

    def carry_out(
        self,
        *,
        engine: str,
        address: str | None,
        workers: int | None,
        publish: bool,
        listener: Listener,
        stop_asked: Callable[[], bool],
    ) -> Gate | None:
        """Drive it from where it is to its end. A gate that refuses the publish is given back."""
        clock = system_clock()
        checkpoint = Checkpoint(self.stores.state, self.paths)
        checkpoint.begin(clock.new_id(), socket.gethostname(), clock.now())
        listener.began(self.document, self.plan, checkpoint.ledger)

        def open_engine() -> Engine:
            spec = self.plan.recipe.spec
            plan_paths = PlanPaths(key_of(spec.state), spec.name, self.plan.id)
            work = UnitWork(recipe_document(self.plan.recipe), plan_paths, self.paths)
            return make_engine(engine, work, address=address, workers=workers)

        job = Job(
            self.plan.units,
            self.table(),
            self._publication,
            checkpoint,
            self.stores.state,
            _since_last(self.stores.meter),
        )
        try:
            ended = carry_out(job, open_engine, clock, listener, publish=publish, stop_asked=stop_asked)
        except RaybackfillError as error:
            raise self._with_next(error) from error.__cause__
        return ended if isinstance(ended, Gate) else None

    def _with_next(self, error: RaybackfillError) -> RaybackfillError:
        """Whoever raised it did not know which run it was."""
        if isinstance(error, TransientError) and not error.next:
            error.next = "raybackfill resume RUN"
        error.next = error.next.replace("resume RUN", f"resume {self.uri}")
        return error

    def table(self) -> Table:
        return Table(self.stores.target, self.stores.state, self.plan.recipe.spec.target.uri)

    def _publication(self, checkpoint: Checkpoint) -> Publication:
        decided = checkpoint.ledger.decided
        return Publication(
            paths=self.paths,
            plan_id=self.plan.id,
            base_version=self.plan.base_version,
            on_empty=self.plan.recipe.spec.target.on_empty,
            pinned=self.plan.target_files,
            units={unit: decided[unit].attempt for unit in self.plan.units_table["unit"].to_pylist()},
        )


def create_run(store: ObjectStore, spec: BackfillSpec, plan: Plan, at: str, suffix: str) -> OpenedRun:
    """Make the run's folder and its run.json, once."""
    stamp = datetime.fromisoformat(at).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    run_id = f"{spec.name}-{stamp}-{suffix}"
    paths = RunPaths(key_of(spec.state), spec.name, run_id)
    document = {
        "format": "run/1",
        "run_id": run_id,
        "run_uri": f"{runs(spec.state, spec.name)}/{run_id}",
        "plan_id": plan.id,
        "backfill": spec.name,
        "created_at": at,
        "version": VERSION,
    }
    store.put(paths.run, json.dumps(document).encode(), create=True)
    return OpenedRun(paths, plan, Stores(spec, Meter()), document)


def open_run_at(store: ObjectStore, uri: str) -> OpenedRun:
    """SpecError where no run lies there."""
    segments = key_of(uri).split("/")
    if len(segments) < 4 or segments[-2] != "runs":
        raise SpecError(
            "this is not the URI of a run",
            where=uri,
            next="it looks like STATE/NAME/runs/RUN_ID; list them: raybackfill list CONFIG",
        )
    paths = RunPaths.of_root(key_of(uri))
    if store.head(paths.run) is None:
        raise SpecError("no run lies there", where=uri, next="list them: raybackfill list CONFIG")
    document = json.loads(store.read(paths.run).to_pybytes())
    plan, _ = load_plan(store, PlanPaths(paths.state, paths.name, document["plan_id"]))
    return OpenedRun(paths, plan, Stores(plan.recipe.spec, Meter()), document)


def run_uris(store: ObjectStore, state: str, name: str) -> list[str]:
    """The newest first. A run's ID holds the second of its making; of several made within one, their
    documents tell."""
    root = runs(state, name)
    found = list_folders(store, key_of(root) + "/")
    names = [folder.rstrip("/").rsplit("/", 1)[1] for folder in found]
    seconds = Counter(name.rpartition("-")[0] for name in names)

    def made(name: str) -> tuple[str, str]:
        second = name.rpartition("-")[0]
        paths = RunPaths.of_root(key_of(f"{root}/{name}"))
        return second, _created_at(store, paths) if seconds[second] > 1 else ""

    return [f"{root}/{name}" for name in sorted(names, key=made, reverse=True)]


def _created_at(store: ObjectStore, paths: RunPaths) -> str:
    return str(json.loads(store.read(paths.run).to_pybytes())["created_at"])


def newest_run(store: ObjectStore, spec: BackfillSpec) -> OpenedRun | None:
    uris = run_uris(store, spec.state, spec.name)
    return open_run_at(store, uris[0]) if uris else None


def _since_last(meter: Meter) -> Callable[[], dict[str, int]]:
    """What was sent since the last call."""
    before = dict.fromkeys(KINDS, 0)

    def sent() -> dict[str, int]:
        now = meter.snapshot()
        spent = {kind: now[kind] - before[kind] for kind in KINDS}
        before.update({kind: now[kind] for kind in KINDS})
        return spent

    return sent


def system_clock() -> Clock:
    def now() -> str:
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    return Clock(now, lambda: secrets.token_hex(6))
