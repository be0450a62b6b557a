"""Whether a stored plan is the one that is asked for, and whether it still holds."""

from __future__ import annotations

from raybackfill.code import Code, modules_of
from raybackfill.control.planning.identity.difference import (
    Difference,
    difference_of_plans,
    difference_of_requests,
)
from raybackfill.control.planning.identity.words import in_words
from raybackfill.control.planning.plan import Plan
from raybackfill.errors import IntegrityError, SpecError
from raybackfill.paths import PlanPaths, key_of
from raybackfill.planning.parts import PlanningParts
from raybackfill.planning.pinning import changed_since
from raybackfill.planning.store import load_code
from raybackfill.spec import BackfillSpec
from raybackfill.wiring import Stores


def paths_of(plan: Plan) -> PlanPaths:
    spec = plan.recipe.spec
    return PlanPaths(key_of(spec.state), spec.name, plan.id)


def difference(before: Plan, after: Plan, stores: Stores) -> Difference:
    """In what two stored plans differ."""
    modules, modules_after = (modules_of(load_code(stores.state, paths_of(plan))) for plan in (before, after))
    return difference_of_plans(before, modules, after, modules_after)


def refuse_other_request(
    plan: Plan, spec: BackfillSpec, code: Code, stores: Stores, error: SpecError
) -> None:
    """Raise the error, with all that differs in words, where this spec and code are not the plan's."""
    if plan.recipe.spec == spec and plan.recipe.code_fingerprint == code.fingerprint:
        return
    modules = modules_of(load_code(stores.state, paths_of(plan)))
    found = difference_of_requests(plan.recipe, modules, spec, modules_of(code.bundle))
    raise explained(error, found, plan)


def refuse_other_plan(plan: Plan, asked: Plan, stores: Stores, error: SpecError) -> None:
    """Raise the error, with all that differs in words, where this is not the plan that is asked for."""
    if plan.id != asked.id:
        raise explained(error, difference(plan, asked, stores), plan)


def explained(error: SpecError, found: Difference, plan: Plan) -> SpecError:
    said = in_words(found, source_prefix(plan))
    return SpecError(f"{error.message}: {said}", where=error.where, next=error.next, exit_code=4)


def source_prefix(plan: Plan) -> str:
    return key_of(plan.recipe.spec.source.uri) + "/"


def refuse_changed(plan: Plan, stores: Stores) -> None:
    """IntegrityError (exit code 4) where an object that the plan reads or replaces is not any more as it
    was. It takes a listing of each; each object is checked again when it is opened."""
    found = changed_since(plan, PlanningParts(plan.recipe.spec, stores))
    if not found:
        return
    raise IntegrityError(
        f"plan {plan.id} does not hold any more, because what it reads or replaces "
        f"changed since the plan was made: {in_words(found, source_prefix(plan))}",
        where=plan.recipe.spec.source.uri if found.inputs else plan.recipe.spec.target.uri,
        next="plan again, to work with what is there now: raybackfill plan CONFIG",
        exit_code=4,
    )
