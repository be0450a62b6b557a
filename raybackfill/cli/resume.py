"""raybackfill resume: goes on with a run where it stopped."""

from __future__ import annotations

import click

from raybackfill.cli.frame import Common, common_options, engine_options, overrides, set_option, stopping
from raybackfill.cli.showing.summary import run_document, run_text


@click.command()
@click.argument("run")
@engine_options
@click.option("--retry-failed", is_flag=True, help="Try again the units that were set aside.")
@click.option("--take-over", is_flag=True, help="Though a driver seems to live: it is fenced.")
@click.option("--replan-changed", is_flag=True, help="Plan again, first, what changed since the plan.")
@click.option("--no-publish", is_flag=True, help="Leave it staged; raybackfill publish goes on.")
@set_option
@common_options
def resume(
    common: Common,
    run: str,
    engine: str,
    address: str | None,
    workers: int | None,
    retry_failed: bool,
    take_over: bool,
    replan_changed: bool,
    no_publish: bool,
    sets: tuple[str, ...],
) -> int:
    """Go on with RUN (an ID, a URI, or a config: its newest run), with its own plan and code."""
    found = common.find_to_go_on(run, overrides(sets))
    with stopping(run) as stop_asked:
        ended = found.resume(
            engine=engine,
            address=address,
            workers=workers,
            listener=common.listener(),
            stop_asked=stop_asked,
            take_over=take_over,
            publish=not no_publish,
            replan_changed=replan_changed,
            retry_failed=retry_failed,
        )
    document = run_document(ended)
    common.show(document, lambda: run_text(document))
    return int(document["exit_code"])
