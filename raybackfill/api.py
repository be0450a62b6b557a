"""What Python users call, and the command line too."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from raybackfill.code import Code, bundle_job, no_code
from raybackfill.control.planning.identity.difference import Difference
from raybackfill.control.planning.plan import Plan
from raybackfill.endings.clean import clean
from raybackfill.errors import FencedError, SpecError
from raybackfill.observe import Listener, Silent
from raybackfill.paths import PlanPaths, RunPaths, key_of
from raybackfill.planning.identity import difference, refuse_changed, refuse_other_plan, refuse_other_request
from raybackfill.planning.parts import PlanningParts
from raybackfill.planning.planner import make_plan
from raybackfill.planning.store import load_plan, save_plan
from raybackfill.reconciling import check_reconcile
from raybackfill.run import Run, find_run, open_run, place_of
from raybackfill.runs import OpenedRun
from raybackfill.runs.finding import create_run, newest_run, newest_runs
from raybackfill.spec import BackfillSpec, read_moment, read_spec
from raybackfill.storage.meter import Meter
from raybackfill.table.view import repair_view
from raybackfill.wiring import Stores

NO_OVERRIDES: Mapping[str, str] = {}


def load(
    config: str | Path, *, set: Mapping[str, str] = NO_OVERRIDES, project: str | Path | None = None
) -> Backfill:
    """Read a config. `set` overrides keys: {"scope.start": "2025-02-01"}. `project` is the root of the
    job's code, by default the nearest folder above the config with a pyproject.toml, else its own.

    SpecError names the file, the line, the key, and what was expected.
    """
    path = Path(config)
    root = Path(project).resolve() if project else _project_root(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SpecError(
            f"the config cannot be read: {reason}", where=str(path), next="give the path of a YAML file"
        ) from error

    def read_file(name: str) -> str:
        return Path(name).read_text(encoding="utf-8")

    spec = read_spec(text, where=str(path), root=str(root), overrides=set, read_file=read_file)
    return Backfill(spec, root, str(path))


def _project_root(config: Path) -> Path:
    folders = list(config.resolve().parents)
    return next((folder for folder in folders if (folder / "pyproject.toml").exists()), folders[0])


@dataclass(frozen=True)
class Backfill:
    """A config, read and checked. Nothing is looked at or changed before `plan` or `run`."""

    spec: BackfillSpec
    root: Path
    config: str

    def plan(self, as_of: str | None = None) -> Plan:
        """Look at source and target, and store the plan in the state folder. `as_of` is a date or a
        time (default now): the job's only clock. SpecError says what cannot work."""
        plan, _ = self._plan(as_of)
        return plan

    def open_plan(self, plan_id: str) -> Plan:
        """A stored plan. SpecError where there is none, or (exit code 4, with all that differs) where it
        was made for another state of this config or of the job's code."""
        plan = self.stored_plan(plan_id)
        error = SpecError(
            f"plan {plan_id} is another than what is asked now",
            where=self.config,
            next=f"plan again: raybackfill plan {self.config}; or undo the change",
        )
        refuse_other_request(plan, self.spec, self._code(), self._stores(), error)
        return plan

    def stored_plan(self, plan_id: str) -> Plan:
        """A plan of this backfill's, whatever it was made for. SpecError where there is none."""
        if not re.fullmatch("[0-9a-f]{12}", plan_id):
            raise SpecError(
                f"{plan_id!r} is not a plan's ID",
                where="--plan",
                next=f"it is 12 hex digits, which this prints: raybackfill plan {self.config}",
            )
        return load_plan(self._stores().state, self._plan_paths(plan_id))[0]

    def difference(self, before: Plan, after: Plan) -> Difference:
        """In what one stored plan differs from another: what is asked, code, inputs, target, as-of time."""
        return difference(before, after, self._stores())

    def run(
        self,
        plan: Plan | None = None,
        *,
        engine: str = "ray",
        address: str | None = None,
        workers: int | None = None,
        publish: bool = True,
        new: bool = False,
        as_of: str | None = None,
        listener: Listener | None = None,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> Run:
        """Carry out the plan (made now, if none is given) and publish. Comes back when it ended.

        With an unfinished run of the same spec and code (or plan, if one is given) it goes on with that
        one, and is refused (exit 4) where an unfinished one is of something else; `new` starts another
        all the same. A plan that is given is refused (exit 4) too where an object changed that it reads
        or replaces. Without `publish`, or where the config says publish: manual, it ends staged.
        `engine` is "ray" or "inline" (this process); Ray is a local one unless `address` or RAY_ADDRESS
        names a cluster. Raises one of the five errors, each with .exit_code; a gate that refuses is a
        result: Run.gate.
        """
        stores = self._stores()
        listener = listener or Silent()
        newest = newest_run(stores.state, self.spec)
        if newest is not None and new:
            newest.refuse_live()
        unfinished = None if new else self._unfinished(newest, plan)
        if unfinished is not None:
            listener.say(f"going on with {unfinished.paths.run_id}")
            opened = unfinished
        else:
            if plan is not None:
                refuse_changed(plan, stores)
            else:
                # What a publish left undone that was cut off is to be seen as it was meant.
                repair_view(PlanningParts(self.spec, stores).table, listener.say)
                plan, _ = self._plan(as_of, stores)
            opened = create_run(stores.state, self.spec, plan, now(), secrets.token_hex(2))
        place = place_of(engine, address, workers, self.spec)
        publish = publish and self.spec.publish != "manual"
        ended = opened.carry_out(**place, publish=publish, listener=listener, stop_asked=stop_asked)
        return Run(*ended)

    def runs(self, most: int = 20) -> list[Run]:
        """Its runs, the newest first."""
        store = self._stores().state
        return [Run(opened) for opened in islice(newest_runs(store, self.spec), most)]

    def clean(self, *, apply: bool = False) -> dict[str, Any]:
        """What attempts of its runs left that nobody can need any more (the document of `clean --json`);
        with `apply` it is removed. Runs may be open, and worked on meanwhile."""
        return clean(newest_runs(self._stores().state, self.spec), apply=apply)

    def unfinished_run(self) -> Run:
        """Its newest run, to go on with. SpecError (exit code 4) where that is unfinished, and of another
        state of the config or of the job's code."""
        run = self.newest_run()
        self._unfinished(run._opened, None)
        return run

    def newest_run(self) -> Run:
        opened = newest_run(self._stores().state, self.spec)
        if opened is None:
            raise SpecError(
                f"{self.spec.name} has no run yet", where=self.config, next=f"raybackfill run {self.config}"
            )
        return Run(opened)

    def _unfinished(self, opened: OpenedRun | None, plan: Plan | None) -> OpenedRun | None:
        """Its newest run, if that is not at its end. Refused (exit 4) where it is of another plan than
        this, or where none is given, of another request than what is asked now."""
        if opened is None or opened.is_finished:
            return None
        stores = self._stores()
        what = f"plan {plan.id} is another than its own" if plan else "what is asked changed since"
        error = SpecError(
            f"run {opened.paths.run_id} is unfinished, and {what}",
            where=self.config,
            next=f"finish that one: raybackfill resume {opened.uri}; or start anew: --new",
        )
        if plan is not None:
            refuse_other_plan(opened.plan, plan, stores, error)
        else:
            refuse_other_request(opened.plan, self.spec, self._code(), stores, error)
        return opened

    def _plan(self, as_of: str | None, stores: Stores | None = None) -> tuple[Plan, Code]:
        stores = stores or self._stores()
        code = self._code()
        moment = now() if as_of is None else _instant(as_of, self.spec.timezone)
        plan = make_plan(self.spec, PlanningParts(self.spec, stores), code, moment)
        check_reconcile(plan.recipe)
        save_plan(stores.state, self._plan_paths(plan.id), plan, code.bundle)
        return plan, code

    def _code(self) -> Code:
        transform = self.spec.transform
        if transform.python is None:
            return no_code(transform.sql or "")
        return bundle_job(transform.python, self.root)

    def _stores(self) -> Stores:
        return Stores(self.spec, Meter())

    def _plan_paths(self, plan_id: str) -> PlanPaths:
        return PlanPaths(key_of(self.spec.state), self.spec.name, plan_id)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _instant(text: str, timezone: str) -> str:
    try:
        micros = read_moment(text, timezone).instant
    except SpecError as error:
        error.where = error.where or "as_of"
        raise
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat().replace("+00:00", "Z")


__all__ = ["Backfill", "FencedError", "Plan", "Run", "RunPaths", "find_run", "load", "open_run"]
