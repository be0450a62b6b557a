"""raybackfill close: lets go of what a run staged and replaced."""

from __future__ import annotations

import click

from raybackfill.cli.frame import Common, common_options, overrides, set_option
from raybackfill.cli.showing.summary import run_document, run_text


@click.command()
@click.argument("run")
@click.option("--take-over", is_flag=True, help="Though a driver seems to live: it is fenced.")
@set_option
@common_options
def close(common: Common, run: str, take_over: bool, sets: tuple[str, ...]) -> int:
    """Remove what RUN (an ID, a URI, or a config: its newest run) staged and replaced.

    The table stays as it is; the run can no longer be taken back.
    """
    found = common.find(run, overrides(sets))
    document = run_document(found.close(listener=common.listener(), take_over=take_over))
    common.show(document, lambda: run_text(document))
    return int(document["exit_code"])
