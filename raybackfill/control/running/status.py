"""Decides what a run says of itself: the document behind `status --json`, `run` and `list`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.running.ledger import FINAL, Ledger

ERRORS_SHOWN_MAX = 100
EXIT_CODES = {
    **dict.fromkeys(("published", "staged", "running", "publishing", "rolled_back", "closed"), 0),
    **{"stopped": 3, "rolling_back": 3, "failed": 1},
}


def run_status(
    run: Mapping[str, Any],
    plan: Mapping[str, Any],
    units: pa.Table,
    ledger: Ledger,
    first_at: str,
    last_at: str,
    running: int,
) -> dict[str, Any]:
    """`run` is run.json, `plan` the plan's summary, `units` its table; times are the journal's own
    (RFC 3339, UTC). `running`: how many units a live driver says that it has under way."""
    elapsed = _seconds(first_at, last_at)
    published = ledger.is_published
    return {
        "format": "run/1",
        **{name: run[name] for name in ("run_id", "run_uri")},
        "plan_id": ledger.plan or run["plan_id"],
        "backfill": run["backfill"],
        "state": ledger.state,
        "held_by": [{"kind": "stopped", "reason": ledger.reason, "since": last_at}] if ledger.reason else [],
        "driver": _driver(ledger, last_at),
        "started_at": first_at or None,
        "ended_at": last_at if ledger.state in FINAL - {"rolling_back"} else None,
        "elapsed_seconds": elapsed,
        "eta_seconds": _eta(ledger, plan, elapsed),
        "partitions": _partitions(plan["partitions"]["count"], units, ledger),
        "units": _units(plan["units"]["count"], ledger, running),
        "rows": ledger.rows.to_json(),
        "digest": str(ledger.digest),
        "verified": ledger.verified or None,
        "bytes": {"read": ledger.bytes_read, **_moved(ledger.bytes_staged, published)},
        "files": _moved(ledger.files, published),
        "requests": ledger.requests,
        "replans": ledger.replans,
        "resumes": max(ledger.drivers - 1, 0),
        "attempts": ledger.attempts,
        "retries": max(ledger.attempts - len(ledger.decided) - len(ledger.failed), 0),
        "rate": {
            "rows_per_second": round(ledger.rows.read / elapsed, 1) if elapsed else None,
            "bytes_per_second": round(ledger.bytes_read / elapsed, 1) if elapsed else None,
        },
        "errors": _errors(ledger),
        "table": {"uri": plan["target"]["uri"], "version": ledger.version or None},
        "exit_code": EXIT_CODES[ledger.state],
        "next": _next(ledger, run["run_uri"]),
    }


def _driver(ledger: Ledger, last_at: str) -> dict[str, Any]:
    driver, host = ledger.driver.get("driver"), ledger.driver.get("host")
    return {"id": driver, "host": host, "epoch": ledger.epoch, "seen_at": last_at or None}


def _moved(count: int, published: bool) -> dict[str, int]:
    return {"staged": count, "published": count if published else 0}


def _units(planned: int, ledger: Ledger, running: int) -> dict[str, int]:
    """A unit that was split counts as its parts."""
    total = planned + sum(len(parts) - 1 for parts in ledger.splits.values())
    done, failed = len(ledger.decided), len(ledger.failed)
    running = min(running, total - done - failed)
    published = ledger.is_published
    return {
        "total": total,
        "waiting": total - done - failed - running,
        "running": running,
        "staged": 0 if published else done,
        "published": done if published else 0,
        "failed": failed,
        "set_aside": len(ledger.set_aside),
    }


def _errors(ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {
            "unit": unit,
            "kind": failure.kind,
            "message": failure.message,
            "attempts": failure.attempts,
            "set_aside": failure.set_aside,
        }
        for unit, failure in list(ledger.failed.items())[:ERRORS_SHOWN_MAX]
    ]


def _partitions(total: int, units: pa.Table, ledger: Ledger) -> dict[str, int]:
    """Source partitions by state: one is staged when all units that hold some of it are."""
    split = [unit for unit in ledger.splits if all(leaf in ledger.decided for leaf in ledger.leaves(unit))]
    done_units = pa.array([*ledger.decided, *split], pa.string())
    undecided = pc.invert(pc.is_in(units["unit"], value_set=done_units))
    unstaged = _distinct(units.filter(undecided))
    failed = _distinct(units.filter(pc.is_in(units["unit"], value_set=pa.array(ledger.failed, pa.string()))))
    done = total - unstaged
    published = ledger.is_published
    return {
        "total": total,
        "waiting": unstaged - failed,
        "staged": 0 if published else done,
        "published": done if published else 0,
        "failed": failed,
    }


def _distinct(units: pa.Table) -> int:
    return int(pc.count_distinct(pc.list_flatten(units["partitions"])).as_py())


def _eta(ledger: Ledger, plan: Mapping[str, Any], elapsed: float) -> float | None:
    """By the bytes still to read, at the rate so far."""
    left: float = plan["estimate"]["bytes_read"] - ledger.bytes_read
    if ledger.state != "running" or not ledger.bytes_read or elapsed <= 0:
        return None
    return round(max(left, 0.0) * elapsed / ledger.bytes_read, 1)


def _seconds(start: str, end: str) -> float:
    if not start or not end:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _next(ledger: Ledger, uri: str) -> str:
    if ledger.state == "rolling_back":
        return f"raybackfill rollback {uri}"
    if ledger.state in FINAL:
        return f"raybackfill status {uri}"
    if ledger.state == "staged":
        return f"raybackfill publish {uri}"
    return f"raybackfill resume {uri}" + (" --retry-failed" if ledger.set_aside else "")
