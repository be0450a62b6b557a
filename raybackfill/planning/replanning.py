"""Plans again what changed since a run's plan: all else keeps its units, and so what was done of them."""

from __future__ import annotations

from raybackfill.code import Code
from raybackfill.control.planning.identity.keeping import no_longer_planned
from raybackfill.control.planning.plan import Plan
from raybackfill.control.running.entries import Entry, redo_entry, replanned_entry, state_entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.planning.identity import paths_of
from raybackfill.planning.parts import PlanningParts
from raybackfill.planning.planner import make_plan
from raybackfill.planning.store import load_code, save_plan
from raybackfill.proving import Proving
from raybackfill.wiring import Stores


def planned_again(
    plan: Plan, ledger: Ledger, stores: Stores, proving: Proving
) -> tuple[Plan, tuple[Entry, ...]]:
    """The plan for the same request, code and as-of time over what source and target hold now, stored,
    and the entries that bring the run under it; the same plan and none where nothing changed. A crash
    before they are durable leaves the run under the plan that it had.

    What was not touched keeps its units, and what is decided on them, unless the columns of the source
    or the tables for joins changed, which every unit depends on.
    """
    made = _successor(plan, stores)
    if made.id == plan.id:
        return plan, ()
    attempts = no_longer_planned(plan, made, ledger)
    receipts = proving.receipt_entries(set(attempts)) if attempts else {}
    taken_back = [redo_entry(receipts[attempt], "what it read changed") for attempt in attempts]
    entries = (*taken_back, replanned_entry(made.id))
    return made, entries if ledger.state == "running" else (state_entry("running"), *entries)


def _successor(plan: Plan, stores: Stores) -> Plan:
    recipe = plan.recipe
    code = Code(recipe.code_ref, recipe.code_fingerprint, load_code(stores.state, paths_of(plan)))
    made = make_plan(recipe.spec, PlanningParts(recipe.spec, stores), code, recipe.as_of, before=plan)
    save_plan(stores.state, paths_of(made), made, code.bundle)
    return made
