"""raybackfill rollback: takes a published run back."""

from __future__ import annotations

import click

from raybackfill.cli.frame import Common, common_options, overrides, set_option
from raybackfill.cli.showing.summary import run_document, run_text


@click.command()
@click.argument("run")
@click.option("--take-over", is_flag=True, help="Though a driver seems to live: it is fenced.")
@set_option
@common_options
def rollback(common: Common, run: str, take_over: bool, sets: tuple[str, ...]) -> int:
    """Bring back what RUN (an ID, a URI, or a config: its newest run) replaced.

    It is a new version of the table. Refused (exit 4) where another run published since, or where what it
    published was changed.
    """
    found = common.find(run, overrides(sets))
    document = run_document(found.rollback(listener=common.listener(), take_over=take_over))
    common.show(document, lambda: run_text(document))
    return int(document["exit_code"])
