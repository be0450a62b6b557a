"""The journal's entries: what each kind says, as JSON values. They are small, there may be a million."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raybackfill.errors import RaybackfillError
from raybackfill.model import Receipt, checksum

Entry = Mapping[str, Any]


def receipt_entry(receipt: Receipt) -> dict[str, Any]:
    """What the ledger needs of a receipt. The files stand in the full one, beside what was staged; `seal`
    is its checksum, by which that one is known to be still what it was."""
    entry: dict[str, Any] = {
        "kind": "receipt",
        "unit": receipt.unit,
        "attempt": receipt.attempt,
        "rows": {name: count for name, count in receipt.rows.to_json().items() if count},
        "bytes_read": receipt.bytes_read,
        "bytes_staged": receipt.bytes_staged,
        "files": len(receipt.files),
        "requests": {verb: count for verb, count in receipt.requests.items() if count},
        "seal": checksum(receipt.to_bytes()),
    }
    return entry if receipt.partitions is None else {**entry, "digest": str(receipt.digest)}


def redo_entry(receipt: Entry, reason: str) -> dict[str, Any]:
    """An attempt that was decided on counts no more, and its unit, if it is still planned, is worked on
    again: what it staged is not what its receipt says, or what it read has changed. `receipt` is the
    entry that decided on it, so that its counts can be taken back."""
    return {"kind": "redo", "unit": receipt["unit"], "receipt": dict(receipt), "reason": reason}


def replanned_entry(plan_id: str) -> dict[str, Any]:
    """The run goes on under another plan, over what changed since its own. Decisions on units that this
    one does not have are taken back in the same object."""
    return {"kind": "replanned", "plan": plan_id}


def verified_entry(summary: Mapping[str, Any], requests: Mapping[str, int]) -> dict[str, Any]:
    """The units' files were looked at: what came of it, and what that took."""
    sent = {verb: count for verb, count in requests.items() if count}
    return {"kind": "verified", "summary": dict(summary), "requests": sent}


def failure_entry(unit: str, attempt: str, error: RaybackfillError) -> dict[str, Any]:
    entry = {"kind": "failed", "unit": unit, "attempt": attempt, "error": error.kind, "message": str(error)}
    return {**entry, "fault": error.fault} if error.fault else entry


def split_entry(unit: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`parts` as `dividing.divide` gives them: boundaries are stored, never found again."""
    return {"kind": "split", "unit": unit, "parts": list(parts)}


def set_aside_entry(unit: str) -> dict[str, Any]:
    """Nobody tries this unit any more, until somebody asks for it: its failures stand before."""
    return {"kind": "set_aside", "unit": unit}


def retry_failed_entry() -> dict[str, Any]:
    """An operator asked that units which were set aside be tried again."""
    return {"kind": "retry_failed"}


def epoch_entry(epoch: int, *, driver: str, writer: str, host: str, at: str) -> dict[str, Any]:
    """A writer began: `epoch` is the number of the journal object that says so."""
    return {"kind": "epoch", "epoch": epoch, "driver": driver, "writer": writer, "host": host, "at": at}


def state_entry(
    state: str,
    *,
    reason: str = "",
    version: int | None = None,
    requests: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """`requests`: what the driver itself sent since it last said so; those of units are in receipts."""
    sent = {verb: count for verb, count in (requests or {}).items() if count}
    entry: dict[str, Any] = {"kind": "state", "state": state, "reason": reason, "requests": sent}
    return entry if version is None else {**entry, "version": version}
