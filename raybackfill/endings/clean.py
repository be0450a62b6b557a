"""Shows what runs left behind that nobody can need any more, and removes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raybackfill.flow.cleaning import litter, remove
from raybackfill.runs import OpenedRun


def clean(runs: Iterable[OpenedRun], *, apply: bool) -> dict[str, Any]:
    """The document of `clean --json`. Runs may be open, and worked on meanwhile."""
    found = [_of_run(run, apply=apply) for run in runs]
    return {
        "format": "clean/1",
        "applied": apply,
        "files": sum(each["files"] for each in found),
        "uploads": sum(each["uploads"] for each in found),
        "bytes": sum(each["bytes"] for each in found),
        "runs": found,
    }


def _of_run(run: OpenedRun, *, apply: bool) -> dict[str, Any]:
    table = run.table()
    ledger, found = litter(table, run.paths, lambda: run.checkpoint().ledger)
    if apply:
        remove(table.state_store, found)
    return {
        "run_id": run.paths.run_id,
        "run_uri": run.uri,
        "state": ledger.state,
        "files": sum(not each.upload for each in found),
        "uploads": sum(bool(each.upload) for each in found),
        "bytes": sum(each.size for each in found),
    }
