"""raybackfill resume: goes on with a run where it stopped."""

from __future__ import annotations

import click

from raybackfill.cli.frame import Common, common_options, engine_options, overrides, set_option, stopping
from raybackfill.cli.summary import run_document, run_text


@click.command()
@click.argument("run")
@engine_options
@set_option
@common_options
def resume(
    common: Common, run: str, engine: str, address: str | None, workers: int | None, sets: tuple[str, ...]
) -> int:
    """Go on with RUN (an ID, a URI, or a config: its newest run), with its own plan and code."""
    found = common.find(run, overrides(sets))
    with stopping(run) as stop_asked:
        ended = found.resume(
            engine=engine, address=address, workers=workers, listener=common.listener(), stop_asked=stop_asked
        )
    document = run_document(ended)
    common.show(document, lambda: run_text(document))
    return int(document["exit_code"])
