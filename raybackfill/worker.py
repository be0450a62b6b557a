"""What a worker does with a task: builds the hops once a process, and processes unit after unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from raybackfill.assembly import Assembly
from raybackfill.control.planning.plan import recipe_from_document
from raybackfill.engines import Task
from raybackfill.flow.publish import write_receipt
from raybackfill.flow.unit import Hops, process_unit
from raybackfill.model import Receipt
from raybackfill.paths import PlanPaths, RunPaths
from raybackfill.storage.meter import KINDS, Meter
from raybackfill.wiring import Stores


@dataclass(frozen=True)
class UnitWork:
    """All of it can be pickled: a recipe as a document, and where the plan's code and the run lie."""

    recipe: Mapping[str, Any]
    plan: PlanPaths
    run: RunPaths

    def prepare(self) -> None:
        """Import and build what the first task needs, before it comes."""
        bench = self._bench()
        bench.hops("work")

    def __call__(self, task: Task) -> Receipt:
        bench = self._bench()
        before = bench.meter.snapshot()
        receipt = process_unit(task.unit, task.attempt, bench.hops(task.unit.stage))
        after = bench.meter.snapshot()
        requests = {kind: after[kind] - before[kind] for kind in KINDS}
        # The receipt's own request is counted before it is sent, because it stands in the receipt.
        receipt = replace(receipt, requests={**requests, "put": requests["put"] + 1})
        write_receipt(bench.stores.state, self.run, receipt)
        return receipt

    def _bench(self) -> _Bench:
        found = _benches.get(self.run.root)
        if found is None:
            # One run at a time: a worker that is used again for another forgets the last one.
            _benches.clear()
            found = _benches[self.run.root] = _Bench(self)
        return found


class _Bench:
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


# Tasks are unpickled each time, so what lives longer than one lives here.
_benches: dict[str, _Bench] = {}
