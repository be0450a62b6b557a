"""What a worker does with a task: builds the hops once a process, and processes unit after unit."""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from raybackfill.assembly import Assembly
from raybackfill.checkpoint import newest_heads
from raybackfill.checkpoint.journal import Journal, JournalWriter
from raybackfill.control.planning.plan import recipe_from_document
from raybackfill.control.proving.checks import judge
from raybackfill.control.proving.evidence import Verdict
from raybackfill.engines import Task
from raybackfill.flow.evidence import Asked, Looking
from raybackfill.flow.publish import write_receipt
from raybackfill.flow.unit import Hops, process_unit
from raybackfill.model import Receipt
from raybackfill.paths import PlanPaths, RunPaths
from raybackfill.spec import spec_from_document
from raybackfill.storage.meter import KINDS, Meter
from raybackfill.wiring import Stores

logger = logging.getLogger("raybackfill.worker")


@dataclass(frozen=True)
class UnitWork:
    """All of it can be pickled: a recipe as a document, and where the plan's code and the run lie."""

    recipe: Mapping[str, Any]
    plan: PlanPaths
    run: RunPaths

    @property
    def run_id(self) -> str:
        return self.run.run_id

    def prepare(self) -> None:
        """Import and build what the first task needs, before it comes."""
        bench = self.bench()
        bench.hops("work")

    def __call__(self, task: Task) -> Receipt:
        bench = self.bench()
        before = bench.meter.snapshot()
        size = {"pieces": len(task.unit.pieces), "decoded_bytes": task.unit.decoded_bytes}
        logger.info("began", extra={"fields": {"stage": task.unit.stage, **size}})
        receipt = process_unit(task.unit, task.attempt, bench.hops(task.unit.stage))
        after = bench.meter.snapshot()
        requests = {kind: after[kind] - before[kind] for kind in KINDS}
        # The receipt's own request is counted before it is sent, because it stands in the receipt.
        receipt = replace(receipt, requests={**requests, "put": requests["put"] + 1})
        write_receipt(bench.stores.state, self.run, receipt)
        seconds = {"seconds": round(receipt.seconds, 3), "files": len(receipt.files)}
        logger.info("staged", extra={"fields": {"rows": receipt.rows.to_json(), **seconds}})
        return receipt

    def bench(self) -> Bench:
        """This process's own, made when it is first asked for."""
        place = f"{self.run.root} {self.plan.plan_id}"
        found = _benches.get(place)
        if found is None:
            # One run at a time, under one plan: a worker that is used again forgets the last one.
            _benches.clear()
            found = _benches[place] = Bench(self)
        return found


@dataclass(frozen=True)
class UnitLook:
    """Looks again at what a unit left, and judges it. It can be pickled."""

    work: UnitWork

    def __call__(self, asked: Asked) -> Verdict:
        bench = self.work.bench()
        before = bench.meter.snapshot()
        verdict = judge(bench.looking().at(asked))
        after = bench.meter.snapshot()
        return replace(verdict, requests={kind: after[kind] - before[kind] for kind in KINDS})


@dataclass(frozen=True)
class WriterOpening:
    """Opens a run's journal for a new writer of its driver, in any process. It can be pickled."""

    spec: Mapping[str, Any]
    run: RunPaths
    driver: str

    def __call__(self) -> JournalWriter:
        store = Stores(spec_from_document(self.spec), Meter()).state
        journal = Journal(store, self.run, newest_heads(store, self.run))
        return new_writer(journal, self.driver)


def new_writer(journal: Journal, driver: str) -> JournalWriter:
    """A writer of this process, with an ID of its own."""
    return JournalWriter(journal, driver=driver, writer=secrets.token_hex(6), host=socket.gethostname())


class Bench:
    """What a process keeps from task to task: its stores with their connections, and its hops."""

    def __init__(self, work: UnitWork) -> None:
        recipe = recipe_from_document(work.recipe)
        self.meter = Meter()
        self.stores = Stores(recipe.spec, self.meter)
        self._run = work.run
        bundle = self.stores.state.read(work.plan.code).to_pybytes()
        self._assembly = Assembly(recipe, self.stores, bundle, work.run.run_id)
        self._hops: dict[str, Hops] = {}

    def hops(self, stage: str) -> Hops:
        if stage not in self._hops:
            self._hops[stage] = self._assembly.hops(stage, self._run)
        return self._hops[stage]

    def looking(self) -> Looking:
        return self._assembly.looking(self._run)


# Tasks are unpickled each time, so what lives longer than one lives here.
_benches: dict[str, Bench] = {}
