"""The ledger: what is known of every unit and of the run, decided by the journal's entries in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raybackfill.errors import IntegrityError
from raybackfill.model import Receipt, Rows

TRANSITIONS: dict[tuple[str, str], str] = {
    ("running", "stopped"): "units failed, or the operator interrupted: what is staged is kept",
    ("running", "staged"): "every unit has its receipt",
    ("running", "failed"): "the run cannot go on, and nothing was published",
    ("stopped", "running"): "a driver took the run up again",
    ("failed", "running"): "a driver took the run up again, after what failed was mended",
    ("staged", "running"): "a driver took the run up again before it was published",
    ("staged", "publishing"): "a new version of the table is made from the receipts",
    ("publishing", "publishing"): "a driver went on with a publish that was cut off",
    ("publishing", "published"): "the version stands, and the paths show it",
    ("publishing", "stopped"): "a gate refused the publish: what is staged is kept",
    ("publishing", "running"): "a driver took the run up again before its version stood",
}
"""Every edge between states of a run, with what it means. There are no others."""

FINAL = {"published"}


@dataclass(frozen=True, slots=True)
class Decision:
    """The first receipt of a unit in journal order: the attempt that counts."""

    attempt: str
    rows: Rows
    bytes_read: int
    bytes_staged: int
    files: int


@dataclass(frozen=True, slots=True)
class Failure:
    """The last error of a unit that has no receipt."""

    kind: str
    message: str
    attempts: int


@dataclass
class Ledger:
    """Entries are applied in journal order; later decisions on a decided unit change nothing, which
    is what makes retries, doubled receipts and zombies harmless."""

    state: str = "running"
    reason: str = ""
    version: int = 0
    epoch: int = 0
    attempts: int = 0
    rows: Rows = field(default_factory=Rows)
    bytes_read: int = 0
    bytes_staged: int = 0
    files: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    decided: dict[str, Decision] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    driver: dict[str, Any] = field(default_factory=dict)

    def apply(self, entry: Mapping[str, Any]) -> None:
        kind = entry["kind"]
        if kind == "receipt":
            self._receipt(entry)
        elif kind == "failed":
            self._failed(entry)
        elif kind == "epoch":
            self.epoch += 1
            self.driver = {name: entry[name] for name in ("writer", "host", "at")}
        elif kind == "state":
            self._move(entry["state"], entry.get("reason", ""))
            self._count(entry)
            self.version = int(entry.get("version", self.version))
        else:
            raise IntegrityError(
                f"the journal holds an entry of the unknown kind {kind!r}",
                next="it was written by a later version of raybackfill: use that one",
            )

    def _receipt(self, entry: Mapping[str, Any]) -> None:
        self.attempts += 1
        unit = entry["unit"]
        if unit in self.decided:
            return
        decision = Decision(
            attempt=entry["attempt"],
            rows=Rows.from_json(entry["rows"]),
            bytes_read=entry["bytes_read"],
            bytes_staged=entry["bytes_staged"],
            files=entry["files"],
        )
        self.decided[unit] = decision
        self.failed.pop(unit, None)
        self.rows += decision.rows
        self.bytes_read += decision.bytes_read
        self.bytes_staged += decision.bytes_staged
        self.files += decision.files
        self._count(entry)

    def _count(self, entry: Mapping[str, Any]) -> None:
        for verb, count in entry.get("requests", {}).items():
            self.requests[verb] = self.requests.get(verb, 0) + count

    def _failed(self, entry: Mapping[str, Any]) -> None:
        self.attempts += 1
        unit = entry["unit"]
        if unit not in self.decided:
            before = self.failed[unit].attempts if unit in self.failed else 0
            self.failed[unit] = Failure(entry["error"], entry["message"], before + 1)

    def _move(self, state: str, reason: str) -> None:
        if (self.state, state) not in TRANSITIONS:
            raise IntegrityError(f"the journal moves the run from {self.state} to {state}, which cannot be")
        self.state, self.reason = state, reason


def receipt_entry(receipt: Receipt) -> dict[str, Any]:
    """A receipt as the journal holds it: small, because there may be a million. The files stand in
    the full receipt, beside what the attempt staged."""
    return {
        "kind": "receipt",
        "unit": receipt.unit,
        "attempt": receipt.attempt,
        "rows": {name: count for name, count in receipt.rows.to_json().items() if count},
        "bytes_read": receipt.bytes_read,
        "bytes_staged": receipt.bytes_staged,
        "files": len(receipt.files),
        "requests": {verb: count for verb, count in receipt.requests.items() if count},
    }


def failure_entry(unit: str, attempt: str, kind: str, message: str) -> dict[str, Any]:
    return {"kind": "failed", "unit": unit, "attempt": attempt, "error": kind, "message": message}


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
