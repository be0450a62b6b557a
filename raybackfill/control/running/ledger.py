"""The ledger: what is known of every unit and of the run, decided by the journal's entries in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from raybackfill.errors import OUT_OF_MEMORY, WORKER_LOST, IntegrityError
from raybackfill.model import Digest, Rows

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
    ("staged", "stopped"): "a gate refused what is staged, before anything was published",
    ("publishing", "stopped"): "a gate refused the publish: what is staged is kept",
    ("publishing", "running"): "a driver took the run up again before its version stood",
    ("published", "running"): "files of the table were damaged, and their units are worked on again",
    (
        "published",
        "rolling_back",
    ): "an operator takes the run back: a new version is made of what it replaced",
    ("rolling_back", "rolling_back"): "a driver went on with a rollback that was cut off",
    ("rolling_back", "published"): "a gate refused the rollback: the table is as the run published it",
    ("rolling_back", "rolled_back"): "the version without the run stands, and the paths show it",
    ("published", "closed"): "an operator lets go of what the run staged and replaced: it stays published",
    ("rolled_back", "closed"): "an operator lets go of what the run staged and replaced: it stays taken back",
    ("stopped", "closed"): "an operator gave the run up: nothing was published",
    ("failed", "closed"): "an operator gave the run up: nothing was published",
}
"""Every edge between states of a run, with what it means. There are no others."""

FINAL = {"published", "rolling_back", "rolled_back", "closed"}
"""The units have nothing left to do with it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What became of a unit that has no decision: its last error, how many attempts failed, and how
    many of the last ones lost their worker without a break. `set_aside`: nobody tries it any more."""

    kind: str
    message: str
    fault: str
    attempts: int
    lost_in_a_row: int
    set_aside: bool = False

    @property
    def asks_for_less(self) -> bool:
        """Whether the unit seems too large for a worker."""
        return self.fault == OUT_OF_MEMORY or self.lost_in_a_row > 1


@dataclass
class Ledger:
    """Entries are applied in journal order. A unit has one decision, its first: a receipt or a split.
    Later ones change nothing, which is what makes retries, backups, doubled receipts and zombies
    harmless.

    `decided` maps a unit to the attempt that counts, `splits` one to its parts as the journal holds
    them, `seals` it to the checksum of its receipt. There may be a million units: what else a receipt
    says is added up, and lies in full with the staged files. An attempt in `rejected` (with the reason)
    was decided on and counts no more. `verified` is what was last found of the staged files, if nothing
    was staged since. `before` is the state that the run came from. `plan` is the ID of the plan that the
    run goes on under, where that is not the one that it began with.
    """

    state: str = "running"
    before: str = ""
    reason: str = ""
    version: int = 0
    epoch: int = 0
    drivers: int = 0
    attempts: int = 0
    rows: Rows = field(default_factory=Rows)
    bytes_read: int = 0
    bytes_staged: int = 0
    files: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    driver: dict[str, Any] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)
    seals: dict[str, str] = field(default_factory=dict)
    digest: Digest = field(default_factory=Digest)
    rejected: dict[str, str] = field(default_factory=dict)
    verified: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    plan: str = ""
    replans: int = 0

    def apply(self, entry: Mapping[str, Any]) -> None:
        kind = entry["kind"]
        if kind == "receipt":
            self._receipt(entry)
        elif kind == "failed":
            self._failed(entry)
        elif kind == "split":
            self._split(entry)
        elif kind == "redo":
            self._redo(entry)
        elif kind == "replanned":
            self._replanned(entry["plan"])
        elif kind == "verified":
            self.verified = dict(entry["summary"])
            self._count(entry)
        elif kind == "set_aside":
            self._set_aside(entry["unit"])
        elif kind == "retry_failed":
            self._retry_failed()
        elif kind == "epoch":
            self.epoch = entry["epoch"]
            # A driver's writers begin again and again; that is the same driver still.
            self.drivers += entry["driver"] != self.driver.get("driver")
            self.driver = {name: entry[name] for name in ("driver", "writer", "host", "at")}
        elif kind == "state":
            self._move(entry["state"], entry.get("reason", ""))
            self._count(entry)
            self.version = int(entry.get("version", self.version))
        else:
            raise IntegrityError(
                f"the journal holds an entry of the unknown kind {kind!r}",
                next="it was written by a later version of raybackfill: use that one",
            )

    def has_decided(self, unit: str) -> bool:
        return unit in self.decided or unit in self.splits

    def leaves(self, unit: str) -> Iterator[str]:
        """The units that a unit stands for, in order: itself, or the parts that it was split into."""
        if unit not in self.splits:
            yield unit
            return
        for part in self.splits[unit]:
            yield from self.leaves(part["unit"])

    @property
    def is_published(self) -> bool:
        """Whether the table holds what the run gave: closing it changes nothing in that."""
        return self.state in ("published", "rolling_back") or (self.state, self.before) == (
            "closed",
            "published",
        )

    def is_set_aside(self, unit: str) -> bool:
        return unit in self.failed and self.failed[unit].set_aside

    @property
    def set_aside(self) -> dict[str, Failure]:
        return {unit: failure for unit, failure in self.failed.items() if failure.set_aside}

    def check_move(self, state: str) -> None:
        """IntegrityError where the run cannot come to this state from the one it is in."""
        if (self.state, state) not in TRANSITIONS:
            raise IntegrityError(f"the journal moves the run from {self.state} to {state}, which cannot be")

    def to_document(self) -> dict[str, Any]:
        """All but `decided` and `seals`, which are Arrow data elsewhere, as JSON values."""
        content = {name: value for name, value in vars(self).items() if name not in ("decided", "seals")}
        failed = {unit: asdict(failure) for unit, failure in self.failed.items()}
        return {**content, "rows": self.rows.to_json(), "digest": str(self.digest), "failed": failed}

    @classmethod
    def from_document(
        cls, value: Mapping[str, Any], decided: dict[str, str], seals: dict[str, str]
    ) -> Ledger:
        failed = {unit: Failure(**failure) for unit, failure in value["failed"].items()}
        rows = Rows.from_json(value["rows"])
        digest = Digest.read(value["digest"]) if "digest" in value else Digest()
        read = {"rows": rows, "digest": digest, "failed": failed, "decided": decided, "seals": seals}
        return cls(**{**value, **read})

    def _receipt(self, entry: Mapping[str, Any]) -> None:
        self.attempts += 1
        unit = entry["unit"]
        if self.has_decided(unit) or entry["attempt"] in self.rejected:
            return
        self.decided[unit] = entry["attempt"]
        if "seal" in entry:
            self.seals[unit] = entry["seal"]
        self.failed.pop(unit, None)
        self.verified = {}
        self.rows += Rows.from_json(entry["rows"])
        self.digest += _digest(entry)
        self.bytes_read += entry["bytes_read"]
        self.bytes_staged += entry["bytes_staged"]
        self.files += entry["files"]
        self._count(entry)

    def _redo(self, entry: Mapping[str, Any]) -> None:
        """Take back a receipt. What it took (attempts, requests) was spent all the same."""
        unit, receipt = entry["unit"], entry["receipt"]
        if self.decided.get(unit) != receipt["attempt"]:
            return
        self.rejected[self.decided.pop(unit)] = entry["reason"]
        self.seals.pop(unit, None)
        self.verified = {}
        self.rows -= Rows.from_json(receipt["rows"])
        self.digest -= _digest(receipt)
        self.bytes_read -= receipt["bytes_read"]
        self.bytes_staged -= receipt["bytes_staged"]
        self.files -= receipt["files"]

    def _replanned(self, plan: str) -> None:
        """Under the new plan attempts at what failed begin anew."""
        self.plan = plan
        self.replans += 1
        self.failed = {}
        self.verified = {}

    def _split(self, entry: Mapping[str, Any]) -> None:
        unit = entry["unit"]
        if not self.has_decided(unit):
            self.splits[unit] = [dict(part) for part in entry["parts"]]
            self.failed.pop(unit, None)

    def _failed(self, entry: Mapping[str, Any]) -> None:
        self.attempts += 1
        unit = entry["unit"]
        if self.has_decided(unit):
            return
        before = self.failed.get(unit)
        fault = entry.get("fault", "")
        lost_before = before.lost_in_a_row if before else 0
        self.failed[unit] = Failure(
            entry["error"],
            entry["message"],
            fault,
            attempts=1 + (before.attempts if before else 0),
            lost_in_a_row=lost_before + 1 if fault == WORKER_LOST else 0,
            set_aside=before.set_aside if before else False,
        )

    def _set_aside(self, unit: str) -> None:
        if unit in self.failed:
            self.failed[unit] = replace(self.failed[unit], set_aside=True)

    def _retry_failed(self) -> None:
        self.failed = {unit: failure for unit, failure in self.failed.items() if not failure.set_aside}

    def _count(self, entry: Mapping[str, Any]) -> None:
        for verb, count in entry.get("requests", {}).items():
            self.requests[verb] = self.requests.get(verb, 0) + count

    def _move(self, state: str, reason: str) -> None:
        self.check_move(state)
        if state != self.state:
            self.before = self.state
        self.state, self.reason = state, reason


def _digest(entry: Mapping[str, Any]) -> Digest:
    return Digest.read(entry["digest"]) if "digest" in entry else Digest()
