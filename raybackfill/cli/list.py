"""raybackfill list: the runs of a backfill."""

from __future__ import annotations

from typing import Any

import click

from raybackfill.cli.frame import Common, common_options, overrides, set_option
from raybackfill.observe.words import amount, duration

SHOWN_MAX = 20


@click.command("list")
@click.argument("config", type=click.Path())
@set_option
@common_options
def list_runs(common: Common, config: str, sets: tuple[str, ...]) -> int:
    """List the runs of CONFIG, the newest first."""
    backfill = common.load(config, overrides(sets))
    runs = [_short(run.status()) for run in backfill.runs(SHOWN_MAX)]
    document = {"format": "runs/1", "backfill": backfill.spec.name, "runs": runs}
    common.show(document, lambda: _text(document))
    return 0


def _short(status: dict[str, Any]) -> dict[str, Any]:
    names = ("run_id", "run_uri", "plan_id", "state", "started_at", "elapsed_seconds", "units", "rows")
    return {name: status[name] for name in names}


def _text(document: dict[str, Any]) -> str:
    lines = [
        f"{run['run_id']}  {run['state']:<10}  {run['units']['total']:>6} units  "
        f"{amount(run['rows']['out']):>8} rows  {duration(run['elapsed_seconds'])}"
        for run in document["runs"]
    ]
    return "\n".join(lines) or f"{document['backfill']} has no run yet"
