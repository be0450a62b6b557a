"""raybackfill run: plans, works, verifies what it counted, and publishes."""

from __future__ import annotations

import click

from raybackfill.cli.frame import (
    Common,
    common_options,
    engine_options,
    overrides,
    run_command,
    scope_options,
    stopping,
)
from raybackfill.cli.showing.summary import plan_text, run_document, run_text


@click.command()
@click.argument("config", type=click.Path())
@scope_options
@engine_options
@click.option("--plan", "plan_id", metavar="ID", help="Run just this plan, or refuse.")
@click.option("--new", is_flag=True, help="Start anew, though a run is unfinished.")
@click.option("--no-publish", is_flag=True, help="Leave it staged; raybackfill publish goes on.")
@click.option("--dry-run", is_flag=True, help="Plan only.")
@common_options
def run(
    common: Common,
    config: str,
    sets: tuple[str, ...],
    start: str | None,
    end: str | None,
    as_of: str | None,
    engine: str,
    address: str | None,
    workers: int | None,
    plan_id: str | None,
    new: bool,
    no_publish: bool,
    dry_run: bool,
) -> int:
    """Carry CONFIG out: plan, work, publish. Goes on with an unfinished run of the same."""
    backfill = common.load(config, overrides(sets, start, end))
    if dry_run:
        made = backfill.plan(as_of)
        planned = {**made.to_json(), "next": run_command(common, config, sets, start, end, made.id)}
        common.show(planned, lambda: plan_text(planned))
        return 0
    listener = common.listener()
    with stopping(config) as stop_asked:
        ended = backfill.run(
            backfill.open_plan(plan_id) if plan_id else None,
            engine=engine,
            address=address,
            workers=workers,
            publish=not no_publish,
            new=new,
            as_of=as_of,
            listener=listener,
            stop_asked=stop_asked,
        )
    document = run_document(ended)
    common.show(document, lambda: run_text(document))
    return int(document["exit_code"])
