"""raybackfill plan: looks at source and target, and shows what a run would do."""

from __future__ import annotations

import re

import click

from raybackfill.api import Backfill
from raybackfill.cli.frame import Common, common_options, overrides, run_command, scope_options
from raybackfill.cli.showing.summary import against_document, plan_text
from raybackfill.control.planning.plan import Plan

PLAN_ID = re.compile("[0-9a-f]{12}")


@click.command()
@click.argument("config", type=click.Path())
@scope_options
@click.option("--against", metavar="PLAN", help="Show what differs from a plan (its ID, or a RUN of it).")
@common_options
def plan(
    common: Common,
    config: str,
    sets: tuple[str, ...],
    start: str | None,
    end: str | None,
    as_of: str | None,
    against: str | None,
) -> int:
    """Show what a run of CONFIG would read, do and replace. Writes only to the state folder."""
    backfill = common.load(config, overrides(sets, start, end))
    made = backfill.plan(as_of)
    document = {**made.to_json(), "next": run_command(common, config, sets, start, end, made.id)}
    if against is not None:
        other = _other_plan(common, backfill, against)
        document["against"] = against_document(other, backfill.difference(other, made))
    common.show(document, lambda: plan_text(document))
    return 0


def _other_plan(common: Common, backfill: Backfill, against: str) -> Plan:
    if PLAN_ID.fullmatch(against):
        return backfill.stored_plan(against)
    return common.find(against, {}).plan
