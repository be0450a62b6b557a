"""raybackfill publish: makes what a run staged the table's next version."""

from __future__ import annotations

import click

from raybackfill.cli.frame import Common, common_options, engine_options, overrides, set_option, stopping
from raybackfill.cli.showing.summary import run_document, run_text


@click.command()
@click.argument("run")
@engine_options
@click.option("--take-over", is_flag=True, help="Though a driver seems to live: it is fenced.")
@set_option
@common_options
def publish(
    common: Common,
    run: str,
    engine: str,
    address: str | None,
    workers: int | None,
    take_over: bool,
    sets: tuple[str, ...],
) -> int:
    """Publish RUN (an ID, a URI, or a config: its newest run), which is staged."""
    found = common.find_to_go_on(run, overrides(sets))
    with stopping(run) as stop_asked:
        ended = found.publish(
            engine=engine,
            address=address,
            workers=workers,
            listener=common.listener(),
            stop_asked=stop_asked,
            take_over=take_over,
        )
    document = run_document(ended)
    common.show(document, lambda: run_text(document))
    return int(document["exit_code"])
