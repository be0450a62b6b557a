"""A run, as Python users hold it: what it is, and all that can be done with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from raybackfill.control.planning.plan import Plan
from raybackfill.control.proving.gate import Gate
from raybackfill.control.proving.verification import verify_document
from raybackfill.endings.clean import clean
from raybackfill.endings.close import close
from raybackfill.endings.rollback import rollback
from raybackfill.errors import SpecError
from raybackfill.observe import Listener, Silent
from raybackfill.paths import runs
from raybackfill.proving import Proof
from raybackfill.runs import OpenedRun
from raybackfill.runs.finding import open_run_at
from raybackfill.spec import BackfillSpec, StorageSpec
from raybackfill.spec.locations import read_location
from raybackfill.wiring import state_store


class Place(TypedDict):
    """Where units are worked on."""

    engine: str
    address: str | None
    workers: int | None


def place_of(engine: str, address: str | None, workers: int | None, spec: BackfillSpec) -> Place:
    address = address or os.environ.get("RAY_ADDRESS")
    return Place(engine=engine, address=address, workers=workers or spec.limits.concurrency)


@dataclass(frozen=True)
class Run:
    """One execution of a backfill. `gate` is what refused its publish, if anything did."""

    _opened: OpenedRun = field(repr=False)
    gate: Gate | None = None

    @property
    def id(self) -> str:
        return self._opened.paths.run_id

    @property
    def uri(self) -> str:
        return self._opened.uri

    @property
    def plan(self) -> Plan:
        return self._opened.plan

    @property
    def exit_code(self) -> int:
        return 4 if self.gate else int(self.status()["exit_code"])

    def status(self) -> dict[str, Any]:
        """What the journal says of it now (the document of `status --json`)."""
        return self._opened.status()

    def resume(
        self,
        *,
        engine: str = "ray",
        address: str | None = None,
        workers: int | None = None,
        listener: Listener | None = None,
        stop_asked: Callable[[], bool] = lambda: False,
        take_over: bool = False,
        retry_failed: bool = False,
        publish: bool = True,
        replan_changed: bool = False,
    ) -> Run:
        """Go on where it stopped, with the plan and the code that it began with.

        FencedError while a driver works on it, unless `take_over`: that one is fenced then, and loses
        what it has under way. `retry_failed` tries units again that were set aside. Without `publish`, or
        where the config says publish: manual, it ends staged. `replan_changed` plans again, first, the
        units of source objects and of the table's files that changed since the plan, and those alone.
        """
        if self._opened.is_finished:
            return self
        spec = self.plan.recipe.spec
        ended = self._opened.carry_out(
            **place_of(engine, address, workers, spec),
            publish=publish and spec.publish != "manual",
            listener=listener or Silent(),
            stop_asked=stop_asked,
            take_over=take_over,
            retry_failed=retry_failed,
            replan_changed=replan_changed,
        )
        return Run(*ended)

    def publish(
        self,
        *,
        engine: str = "ray",
        address: str | None = None,
        workers: int | None = None,
        listener: Listener | None = None,
        stop_asked: Callable[[], bool] = lambda: False,
        take_over: bool = False,
    ) -> Run:
        """Publish what is staged, after another look at it. SpecError where units are not staged yet; a
        gate that refuses (the table changed since the plan) is a result: Run.gate. Safe to repeat."""
        if self.status()["state"] == "published":
            return self
        self._opened.refuse_unstaged()
        ended = self._opened.carry_out(
            **place_of(engine, address, workers, self.plan.recipe.spec),
            publish=True,
            listener=listener or Silent(),
            stop_asked=stop_asked,
            take_over=take_over,
        )
        return Run(*ended)

    def verify(
        self,
        read_back: str | None = None,
        *,
        repair: bool = False,
        engine: str = "ray",
        address: str | None = None,
        workers: int | None = None,
        listener: Listener | None = None,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Look again at all that it staged or, where it is published, at what lies in the table of it (the
        document of `verify --json`). `read_back`, "full", "sample" or "none", says of how many units the
        rows are read; by default what the config says.

        With `repair`, units that do not hold are worked on again (of a published run that makes a new
        version of the table), and all is looked at once more; IntegrityError where that cannot be.
        """
        place = place_of(engine, address, workers, self.plan.recipe.spec)
        proof = self._opened.verify(read_back, **place)
        bad = proof.verification.bad
        if repair and bad:
            self._opened.carry_out(
                **place,
                publish=self._opened.is_finished,
                listener=listener or Silent(),
                stop_asked=stop_asked,
                redo=bad,
            )
            proof = self._opened.verify(read_back, **place)
        return self._proved(proof, repaired=len(bad) if repair else 0)

    def rollback(self, *, listener: Listener | None = None, take_over: bool = False) -> Run:
        """Bring back what it replaced, as a new version of the table: the rows of each partition, proved by
        their digests, under files of another tag. What it did not touch stays.

        Refused (Run.gate) where another run published since, which must be taken back first, or where
        what it published was changed. Goes on where an earlier try stopped.
        """
        return Run(self._opened, rollback(self._opened, listener or Silent(), take_over=take_over))

    def close(self, *, listener: Listener | None = None, take_over: bool = False) -> Run:
        """Let go of what it staged and replaced: then it cannot be taken back, and
        readers of older versions no longer find their files. The table stays as it is. A run that
        stopped is given up so. Safe to repeat."""
        close(self._opened, listener or Silent(), take_over=take_over)
        return Run(self._opened)

    def clean(self, *, apply: bool = False) -> dict[str, Any]:
        """What its attempts left that nobody can need any more (the document of `clean --json`); with
        `apply` it is removed. A run may be open, and worked on meanwhile."""
        return clean([self._opened], apply=apply)

    def _proved(self, proof: Proof, repaired: int) -> dict[str, Any]:
        status = self.status()
        holds = proof.verification.holds
        mend = f"raybackfill verify {self.uri} --repair"
        following = status["next"] if holds else mend
        return verify_document(status, proof.verification, proof.superseded, repaired, following)


def open_run(uri: str, storage: StorageSpec = StorageSpec()) -> Run:  # noqa: B008 (frozen)
    """The run at a URI, from any machine: its plan and code lie beside it."""
    place = read_location(uri, str(Path.cwd()))
    return Run(open_run_at(state_store(place, storage), place))


def find_run(run: str, state: str | None) -> Run:
    """A run by its URI or, within a state folder, by its ID ("NAME-20250401T093012Z-x7k2")."""
    if "/" in run:
        return open_run(run)
    if not state:
        raise SpecError(
            f"{run} is a run's ID, and it is not said where runs are kept",
            next="give --state URI or RAYBACKFILL_STATE, or the run's URI",
        )
    name = run.rsplit("-", 2)[0]
    return open_run(f"{runs(state, name)}/{run}")
