"""Decides what a run's verification says, from the verdicts on its units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raybackfill.control.proving.checks import ALL
from raybackfill.control.proving.evidence import Finding, Verdict
from raybackfill.model import Digest

FINDINGS_KEPT_MAX = 1000
NAMED_MAX = 3

JOURNAL = ("journal", "the receipts' digests add up to the journal's", "units")
RECONCILE = ("reconcile", "both queries of each entry of verify.reconcile give the same rows", "keys")
VIEW = ("view", "the table's paths show its newest version, and nothing else", "paths")


@dataclass
class Verification:
    """Verdicts added up. `bad` are the units that do not hold, with the attempts that were looked at."""

    read_back: str
    units_read_back: int = 0
    units: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    findings_count: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    digest: Digest = field(default_factory=Digest)
    bytes_read: int = 0
    seconds: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)
    reconciled: list[dict[str, Any]] = field(default_factory=list)
    not_reconciled: str = ""

    @property
    def holds(self) -> bool:
        return not self.findings_count

    def add(self, verdict: Verdict) -> None:
        self.units += 1
        if not verdict.holds:
            self.bad[verdict.unit] = verdict.attempt
        self._find(verdict.findings)
        self.figures.update(verdict.figures)
        self.digest += Digest.read(verdict.digest) if verdict.digest else Digest()
        self.bytes_read += verdict.bytes_read
        self.seconds += verdict.seconds
        self.requests.update(verdict.requests)

    def compare_journal(self, digest: Digest) -> None:
        """A unit's receipt may have been forged together with its journal entry; then the sums differ."""
        self.figures[JOURNAL[0]] = self.units
        if not self.bad and self.digest != digest:
            self._find([Finding(JOURNAL[0], "", "", "journal", str(digest), str(self.digest))])

    def compare_view(
        self, paths: int, different: Iterable[str], strangers: Iterable[str], version: int
    ) -> None:
        """`different`: the paths that do not show the table's newest version, of so many; `strangers`:
        files under the table that it does not name, whose rows a reader of paths sees as well."""
        self.figures[VIEW[0]] = paths
        said = f"the file of version {version}"
        self._find(_of_view(path, said, "another, or none") for path in different)
        self._find(
            _of_view(path, "no file", f"one that version {version} does not name") for path in strangers
        )

    def compare_outside(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """`documents`: what each entry of verify.reconcile found."""
        self.reconciled = [dict(document) for document in documents]
        if not self.reconciled:
            return
        self.figures[RECONCILE[0]] = sum(d["matched"] + d["mismatched_keys"] for d in self.reconciled)
        self._find(
            Finding(RECONCILE[0], "", "", f"verify.reconcile[{index}]", "no mismatched key", _delta(document))
            for index, document in enumerate(self.reconciled)
            if document["result"] == "failed"
        )

    def _find(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.findings_count += 1
            self.failed[finding.check] += 1
            if len(self.findings) < FINDINGS_KEPT_MAX:
                self.findings.append(finding)

    def summary(self) -> dict[str, Any]:
        """What the journal keeps of it."""
        return {
            "result": "passed" if self.holds else "failed",
            "read_back": self.read_back,
            "units": self.units,
            "units_read_back": self.units_read_back,
            "units_bad": len(self.bad),
            "findings": self.findings_count,
            "bytes_read": self.bytes_read,
            "unit_seconds": round(self.seconds, 3),
        }

    def checks(self) -> list[dict[str, Any]]:
        """Every check with its claim, its figure, and how many times it found something."""
        known = [*((check.name, check.claim, check.measure) for check in ALL), JOURNAL, VIEW, RECONCILE]
        return [
            {
                "name": name,
                "claim": claim,
                "result": self._result(name),
                "looked_at": self.figures[name],
                "measure": measure,
                "findings": self.failed[name],
            }
            for name, claim, measure in known
            if name in self.figures
        ]

    def _result(self, name: str) -> str:
        """What looked at nothing has not passed either: nothing was read back, or no unit could be."""
        if self.failed[name]:
            return "failed"
        return "passed" if self.figures[name] else "skipped"

    def reason(self) -> str:
        """Why a gate refuses: the first findings, each with its partition."""
        said = [_said(finding) for finding in self.findings[:NAMED_MAX]]
        more = f"; and {self.findings_count - len(said)} more" if self.findings_count > len(said) else ""
        units = f"{len(self.bad)} of {self.units} units do not hold: " if self.bad else ""
        return units + "; ".join(said) + more


def _delta(document: Mapping[str, Any]) -> str:
    keys = [", ".join(str(value) for value in mismatch["key"].values()) for mismatch in document["examples"]]
    named = "; ".join(dict.fromkeys(keys[:NAMED_MAX]))
    count = document["mismatched_keys"]
    return f"{count} mismatched: {named}" if count else "no row on either side"


def _of_view(path: str, expected: str, found: str) -> Finding:
    return Finding(VIEW[0], "", path.rpartition("/")[0], path, expected, found)


def _said(finding: Finding) -> str:
    where = f" in {finding.partition}" if finding.partition else ""
    return f"{finding.check}{where}: {finding.where}: expected {finding.expected}, found {finding.found}"


def verify_document(
    run: Mapping[str, Any], verification: Verification, superseded: int, repaired: int, next: str
) -> dict[str, Any]:
    """The document behind `verify --json`. `run` is the run's status; `superseded`: units of which a later
    version of the table replaced files; `repaired`: units that were worked on again."""
    holds = verification.holds
    return {
        "format": "verify/1",
        **{name: run[name] for name in ("run_id", "run_uri", "plan_id", "backfill", "state")},
        "table": run["table"],
        **verification.summary(),
        "units_superseded": superseded,
        "units_repaired": repaired,
        "rows": run["rows"],
        "digest": str(verification.digest),
        "checks": verification.checks(),
        "reconcile": verification.reconciled,
        "reconcile_skipped": verification.not_reconciled or None,
        "findings": [finding.to_json() for finding in verification.findings],
        "findings_count": verification.findings_count,
        "exit_code": 0 if holds else 4,
        "next": next,
    }
