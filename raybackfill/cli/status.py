"""raybackfill status: what the journal says of a run."""

from __future__ import annotations

import click

from raybackfill.cli.frame import Common, common_options, overrides, set_option
from raybackfill.cli.showing.summary import run_document, run_text


@click.command()
@click.argument("run")
@click.option("--failed", is_flag=True, help="Only what failed, and why.")
@set_option
@common_options
def status(common: Common, run: str, failed: bool, sets: tuple[str, ...]) -> int:
    """Show RUN (an ID, a URI, or a config: its newest run). Exits 0 whatever its state."""
    document = run_document(common.find(run, overrides(sets)))
    if failed:
        document = {name: document[name] for name in ("format", "run_id", "state", "errors")}
        common.show(
            document, lambda: "\n".join(f"{e['unit']}: {e['message']}" for e in document["errors"]) or "none"
        )
        return 0
    common.show(document, lambda: run_text(document))
    return 0
