"""raybackfill verify: looks again at all that a run left, and has damaged units worked on anew."""

from __future__ import annotations

import click

from raybackfill.cli.frame import Common, common_options, engine_options, overrides, set_option, stopping
from raybackfill.cli.showing.summary import verify_text
from raybackfill.control.proving.sampling import READ_BACKS


@click.command()
@click.argument("run")
@click.option(
    "--read-back",
    type=click.Choice(READ_BACKS),
    help="Of how many units rows are read (default: as the config says).",
)
@click.option("--repair", is_flag=True, help="Work again on the units that do not hold.")
@engine_options
@set_option
@common_options
def verify(
    common: Common,
    run: str,
    read_back: str | None,
    repair: bool,
    engine: str,
    address: str | None,
    workers: int | None,
    sets: tuple[str, ...],
) -> int:
    """Look again at what RUN (an ID, a URI, or a config: its newest run) staged or published.

    Exits 0 where everything is as its receipts say, 4 where something is not.
    """
    found = common.find(run, overrides(sets))
    with stopping(run) as stop_asked:
        document = found.verify(
            read_back,
            repair=repair,
            engine=engine,
            address=address,
            workers=workers,
            listener=common.listener(),
            stop_asked=stop_asked,
        )
    common.show(document, lambda: verify_text(document))
    return int(document["exit_code"])
