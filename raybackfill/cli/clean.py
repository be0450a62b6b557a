"""raybackfill clean: shows what runs left behind that nobody can need any more, and removes it."""

from __future__ import annotations

import shlex

import click

from raybackfill.cli.frame import CONFIG_SUFFIXES, Common, common_options, overrides, set_option
from raybackfill.cli.showing.summary import clean_text


@click.command()
@click.argument("place", metavar="CONFIG|RUN")
@click.option("--apply", is_flag=True, help="Remove it; without this it is only shown.")
@set_option
@common_options
def clean(common: Common, place: str, apply: bool, sets: tuple[str, ...]) -> int:
    """Show what attempts left behind that lost, of all runs of CONFIG or of one RUN.

    Files of attempts that may still win, and of those that did, stay until the run is closed.
    """
    if place.endswith(CONFIG_SUFFIXES):
        found = common.load(place, overrides(sets)).clean(apply=apply)
    else:
        found = common.find(place, overrides(sets)).clean(apply=apply)
    command = shlex.join(["raybackfill", "clean", place, *(f"--set={item}" for item in sets)])
    is_left = not apply and (found["files"] or found["uploads"])
    document = {**found, "next": f"{command} --apply" if is_left else None}
    common.show(document, lambda: clean_text(document))
    return 0
