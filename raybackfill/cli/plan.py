"""raybackfill plan: looks at source and target, and shows what a run would do."""

from __future__ import annotations

import click

from raybackfill.cli.frame import Common, common_options, overrides, run_command, scope_options
from raybackfill.cli.summary import plan_text


@click.command()
@click.argument("config", type=click.Path())
@scope_options
@common_options
def plan(
    common: Common, config: str, sets: tuple[str, ...], start: str | None, end: str | None, as_of: str | None
) -> int:
    """Show what a run of CONFIG would read, do and replace. Writes only to the state folder."""
    backfill = common.load(config, overrides(sets, start, end))
    made = backfill.plan(as_of)
    document = {**made.to_json(), "next": run_command(common, config, sets, start, end, made.id)}
    common.show(document, lambda: plan_text(document))
    return 0
