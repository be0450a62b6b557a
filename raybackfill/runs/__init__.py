"""Runs as they lie in the state folder: opened, and carried out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from raybackfill.assembly import Assembly
from raybackfill.checkpoint import Checkpoint
from raybackfill.checkpoint.recorder import LocalSender, Recorder
from raybackfill.clock import system_clock
from raybackfill.control.planning.identity.words import in_words
from raybackfill.control.planning.plan import Plan, recipe_document
from raybackfill.control.proving.composition import TARGET_CHANGED, pinned_again
from raybackfill.control.proving.gate import Gate
from raybackfill.control.proving.verification import Verification
from raybackfill.control.running.ledger import FINAL, Ledger
from raybackfill.control.running.liveness import GONE_SECONDS, is_live
from raybackfill.control.running.retry import RetryPolicy
from raybackfill.control.running.status import run_status
from raybackfill.driver import Job, carry_out
from raybackfill.engines import Engine
from raybackfill.errors import FencedError, IntegrityError, RaybackfillError, SpecError, TransientError
from raybackfill.flow.publish import Publication
from raybackfill.model import Version
from raybackfill.observe import Listener, Several
from raybackfill.observe.presence import Presence, last_sign
from raybackfill.paths import PlanPaths, RunPaths, TablePaths, key_of, parent
from raybackfill.planning.identity import difference, source_prefix
from raybackfill.planning.replanning import planned_again
from raybackfill.planning.store import load_plan
from raybackfill.proving import Proof, Proving
from raybackfill.spec import spec_document
from raybackfill.storage import ObjectInfo
from raybackfill.storage.meter import KINDS, Meter
from raybackfill.storage.probe import probe
from raybackfill.table import Table
from raybackfill.table.view import repair_view
from raybackfill.wiring import Stores, make_engine
from raybackfill.worker import UnitWork, WriterOpening, new_writer

FORMAT = "run/1"
# So often a run plans again because others changed the table: then somebody should know why they do.
REPLANS_MAX = 3

Drive = Callable[["OpenedRun"], Version | Gate | None]
"""Carries a run out."""


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
        return self.checkpoint().ledger.state in FINAL

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.stores.state, self.paths)

    def status(self) -> dict[str, Any]:
        checkpoint = self.checkpoint()
        first = self.document["created_at"]
        sign = last_sign(self.stores.state, self.paths, datetime.now(UTC))
        return run_status(
            self.document,
            self.plan.summary,
            self.plan.units_table,
            checkpoint.ledger,
            first,
            checkpoint.last_at or first,
            sign.running if is_live(checkpoint.ledger.state, sign) and sign is not None else 0,
        )

    def refuse_live(self, now: datetime | None = None) -> None:
        """FencedError where a driver seems to work on it. `now` by the store's clock, where it is known."""
        sign = last_sign(self.stores.state, self.paths, now)
        if sign is None or not is_live(self.checkpoint().ledger.state, sign):
            return
        if now is None:
            # Asked for only now, because it takes writing.
            self.refuse_live(self.look_at_stores()[0] or datetime.now(UTC))
        else:
            raise FencedError(
                f"a driver works on it: process {sign.pid} on {sign.host}, "
                f"last seen {sign.age_seconds:.0f} s ago",
                where=self.paths.run_id,
                next=f"wait for it, or if it is gone wait {GONE_SECONDS:.0f} s, "
                f"or take over now: raybackfill resume {self.uri} --take-over",
            )

    def refuse_unstaged(self) -> None:
        """SpecError where it is not all there that would be published, or not to be published any more."""
        ledger = self.checkpoint().ledger
        if ledger.state in FINAL:
            raise SpecError(
                f"a run that is {ledger.state} is not published again",
                where=self.paths.run_id,
                next="start another: raybackfill run CONFIG",
            )
        units = self.plan.units_table["unit"].to_pylist()
        waiting = [leaf for unit in units for leaf in ledger.leaves(unit) if leaf not in ledger.decided]
        if waiting:
            raise SpecError(
                f"{len(waiting)} unit(s) are not staged yet, and only all of them are published",
                where=self.paths.run_id,
                next=f"raybackfill resume {self.uri}",
            )

    def look_at_stores(self) -> tuple[datetime | None, list[str]]:
        """Try what safety needs of the stores that are written. The time by the state's store, and in
        words what a store lacks without harm. SpecError where one lacks what safety needs."""
        target = self.plan.recipe.spec.target
        token = secrets.token_hex(6)
        stores, alone = self.stores, target.storage.single_writer
        state = probe(stores.state, self.paths.probe, token, single_writer=alone)
        # As a rule the state lies beside the target: what serves one serves the other.
        beside = self.paths.root.startswith(parent(key_of(target.uri)) + "/")
        if stores.state is stores.target and beside:
            return state.now, list(state.missing)
        table = probe(stores.target, TablePaths(key_of(target.uri)).probe, token, single_writer=alone)
        return state.now, list(dict.fromkeys([*state.missing, *table.missing]))

    def carry_out(
        self,
        *,
        engine: str,
        address: str | None,
        workers: int | None,
        publish: bool,
        listener: Listener,
        stop_asked: Callable[[], bool],
        take_over: bool = False,
        retry_failed: bool = False,
        redo: Mapping[str, str] | None = None,
        replan_changed: bool = False,
    ) -> tuple[OpenedRun, Gate | None]:
        """Drive it from where it is to its end. Gives the run, under the plan that it has by then, and the
        gate that refused the publish, if one did; a driver that lives is not disturbed (FencedError)
        unless `take_over`. `redo`: units (with the attempt that was decided on) that are worked on again
        first. `replan_changed`: what changed since the plan is planned again first, and a few times more
        if others keep changing the table."""
        clock = system_clock()
        now, missing = self.look_at_stores()
        if not take_over:
            self.refuse_live(now)
        for lack in missing:
            listener.say(f"the store has no {lack}")
        repair_view(self.table(), listener.say)
        driver = clock.new_id()
        checkpoint = self.checkpoint()
        taken_back = self.proving().redo(redo, checkpoint) if redo else []
        local = LocalSender(new_writer(checkpoint.journal, driver))
        presence = Presence(self.stores.state, self.paths, driver)
        listener = Several([listener, presence])
        with presence:
            local.begin(clock.now())
            recorder = Recorder(checkpoint, driver, local, clock)
            # Another driver may have planned again after this one looked.
            run = self._under(checkpoint.ledger)
            listener.began(run.document, run.plan, checkpoint.ledger)

            def drive(run: OpenedRun) -> Version | Gate | None:
                return carry_out(
                    run._job(recorder, local, driver),
                    lambda: run._engine(engine, address, workers),
                    clock,
                    listener,
                    publish=publish,
                    retry_failed=retry_failed,
                    stop_asked=stop_asked,
                    redo=taken_back,
                )

            try:
                if replan_changed:
                    run, ended = run._replanning(drive, recorder, listener)
                else:
                    ended = drive(run)
            except RaybackfillError as error:
                raise self._with_next(error) from error.__cause__
        return run, self._named(ended) if isinstance(ended, Gate) else None

    def _replanning(
        self, drive: Drive, recorder: Recorder, listener: Listener
    ) -> tuple[OpenedRun, Version | Gate | None]:
        """Plan again what changed, and drive; once more where the table changed in between."""
        run = self
        for _ in range(REPLANS_MAX):
            run = run._replanned(recorder, listener)
            ended = drive(run)
            if not isinstance(ended, Gate) or ended.name != TARGET_CHANGED:
                break
        return run, ended

    def _replanned(self, recorder: Recorder, listener: Listener) -> OpenedRun:
        """The run under a plan over what is there now, where something changed; its journal says so. Once
        its version stands, nothing is planned again: the source may be the table itself."""
        if self.table().version_of(self.paths.run_id, self.plan.base_version) is not None:
            return self
        # What a publish left undone that was cut off is to be seen as it was meant.
        repair_view(self.table(), listener.say)
        made, entries = planned_again(self.plan, recorder.ledger, self.stores, self.proving())
        if entries:
            found = in_words(difference(self.plan, made, self.stores), source_prefix(made))
            listener.say(f"planned again, as {made.id}: {found}")
            recorder.hand_in(*entries)
            recorder.settle()
        return replace(self, plan=made)

    def _under(self, ledger: Ledger) -> OpenedRun:
        """The run under the plan that its journal says."""
        if ledger.plan in ("", self.plan.id):
            return self
        paths = PlanPaths(self.paths.state, self.paths.name, ledger.plan)
        return replace(self, plan=load_plan(self.stores.state, paths)[0])

    def _named(self, gate: Gate) -> Gate:
        """With the run in the next step: whoever decides did not know which it was."""
        return replace(gate, next=gate.next.replace("resume RUN", f"resume {self.uri}"))

    def _job(self, recorder: Recorder, local: LocalSender, driver: str) -> Job:
        spec = self.plan.recipe.spec
        return Job(
            units=self.plan.units,
            units_total=self.plan.units_table.num_rows,
            whole_partitions=spec.transform.per == "partition",
            retries=RetryPolicy(spec.retries.attempts, spec.retries.breaker),
            table=self.table(),
            publication=self._publication,
            verification=self._staged,
            recorder=recorder,
            local=local,
            open_writer=WriterOpening(spec_document(spec), self.paths, driver),
            state_store=self.stores.state,
            requests=_since_last(self.stores.meter),
        )

    def verify(
        self, read_back: str | None, *, engine: str, address: str | None, workers: int | None
    ) -> Proof:
        """Look at all that it left, as it lies now. Changes nothing."""
        ledger = self.checkpoint().ledger
        with closing(self._engine(engine, address, workers)) as opened:
            return self.proving().now(opened, ledger, read_back or self._read_back)

    @property
    def _read_back(self) -> str:
        return self.plan.recipe.spec.verify.read_back

    def proving(self) -> Proving:
        return Proving(self.paths, self.plan, self.stores, self.table(), self._work())

    def _staged(self, engine: Engine, ledger: Ledger) -> Verification:
        return self.proving().staged(engine, ledger, self._read_back)

    def _work(self) -> UnitWork:
        spec = self.plan.recipe.spec
        plan_paths = PlanPaths(key_of(spec.state), spec.name, self.plan.id)
        return UnitWork(recipe_document(self.plan.recipe), plan_paths, self.paths)

    def _engine(self, name: str, address: str | None, workers: int | None) -> Engine:
        return make_engine(name, self._work(), address=address, workers=workers)

    def _with_next(self, error: RaybackfillError) -> RaybackfillError:
        """Whoever raised it did not know which run it was."""
        if isinstance(error, TransientError) and not error.next:
            error.next = "raybackfill resume RUN"
        if isinstance(error, IntegrityError) and error.exit_code == 4 and self.paths.root not in error.where:
            error.next = (
                "plan again what changed: raybackfill resume RUN --replan-changed; "
                "or all of it anew: raybackfill run CONFIG --new"
            )
        error.next = error.next.replace("resume RUN", f"resume {self.uri}")
        return error

    def table(self) -> Table:
        return Table(self.stores.target, self.stores.state, self.plan.recipe.spec.target.uri)

    def _publication(self, ledger: Ledger) -> Publication:
        units = self.plan.units_table["unit"].to_pylist()
        pinned, table = self.plan.target_files, self.table()
        ours = table.version(ledger.version) if ledger.version else None
        if ours is not None:
            listing = table.listing()
            pinned = pinned_again(ours, listing, ledger.rejected, table.shown(ours, listing))
        return Publication(
            paths=self.paths,
            plan_id=self.plan.id,
            base_version=max(self.plan.base_version, ledger.version),
            on_empty=self.plan.recipe.spec.target.on_empty,
            pinned=pinned,
            units={leaf: ledger.decided[leaf] for unit in units for leaf in ledger.leaves(unit)},
            write_empty=self.write_empty,
            shrink=self.plan.recipe.spec.shrink,
            appends=self.plan.recipe.spec.target.mode == "append",
        )

    def write_empty(self, key: str, stamp: str) -> ObjectInfo:
        """A file of the target without rows, in the state."""
        return Assembly(self.plan.recipe, self.stores, b"", self.paths.run_id).write_empty(key, stamp)


def _since_last(meter: Meter) -> Callable[[], dict[str, int]]:
    """What was sent since the last call."""
    before = dict.fromkeys(KINDS, 0)

    def sent() -> dict[str, int]:
        now = meter.snapshot()
        spent = {kind: now[kind] - before[kind] for kind in KINDS}
        before.update({kind: now[kind] for kind in KINDS})
        return spent

    return sent
