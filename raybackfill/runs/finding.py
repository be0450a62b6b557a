"""Runs in the state folder: made once, and found again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from raybackfill.checkpoint import Checkpoint
from raybackfill.control.planning.plan import Plan
from raybackfill.errors import IntegrityError, SpecError
from raybackfill.paths import PlanPaths, RunPaths, key_of, runs
from raybackfill.planning.store import load_plan
from raybackfill.runs import FORMAT, OpenedRun
from raybackfill.spec import BackfillSpec
from raybackfill.storage import ObjectStore
from raybackfill.storage.listing import list_folders
from raybackfill.storage.meter import Meter
from raybackfill.version import VERSION
from raybackfill.wiring import Stores


def create_run(store: ObjectStore, spec: BackfillSpec, plan: Plan, at: str, suffix: str) -> OpenedRun:
    """Make the run's folder and its run.json, once."""
    stamp = datetime.fromisoformat(at).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    run_id = f"{spec.name}-{stamp}-{suffix}"
    paths = RunPaths(key_of(spec.state), spec.name, run_id)
    document = {
        "format": FORMAT,
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
    if document.get("format") != FORMAT:
        raise IntegrityError(
            f"the run's format is {document.get('format')!r}, this version reads {FORMAT}",
            where=paths.run,
            next="use the version of raybackfill that wrote it",
        )
    plan_id = Checkpoint(store, paths).ledger.plan or document["plan_id"]
    plan, _ = load_plan(store, PlanPaths(paths.state, paths.name, plan_id))
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
    if store.head(paths.run) is None:
        return ""
    return str(json.loads(store.read(paths.run).to_pybytes())["created_at"])


def newest_runs(store: ObjectStore, spec: BackfillSpec) -> Iterator[OpenedRun]:
    """The newest first. On a disk, a crash while a run was being made leaves a folder with nothing in it:
    that is no run."""
    for uri in run_uris(store, spec.state, spec.name):
        if store.head(RunPaths.of_root(key_of(uri)).run) is not None:
            yield open_run_at(store, uri)


def newest_run(store: ObjectStore, spec: BackfillSpec) -> OpenedRun | None:
    return next(newest_runs(store, spec), None)
