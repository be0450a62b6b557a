"""What is known of a unit's work when it is looked at again, and what the checks say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raybackfill.model import ColumnFacts, PartitionProof, Receipt


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file of a receipt must be now: where it was staged, or at its path in the table."""

    staged: str
    key: str
    size: int
    tag: str


@dataclass(frozen=True, slots=True)
class FileFound:
    """What lies there. `stamp` is the attempt that its metadata names, where the store or the file was
    asked; `problem` why it could not be read back; `rows` -1 where nobody tried."""

    size: int
    tag: str
    rows: int = -1
    stamp: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found of one unit. `sealed`: the checksum of its receipt that the journal holds ("" where it
    holds none); `checksum` that of the receipt that was found, None for neither. `places` and `found`: by
    the key it was staged under; a file that is not there is not in `found`. `partitions` and `columns` are
    of the rows that were read back, if all were (`read_back`)."""

    unit: str
    attempt: str
    sealed: str
    receipt_key: str = ""
    checksum: str = ""
    receipt: Receipt | None = None
    problem: str = ""
    places: Mapping[str, Place] = field(default_factory=dict)
    found: Mapping[str, FileFound] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
    read_back: bool = False
    partitions: tuple[PartitionProof, ...] = ()
    columns: Mapping[str, ColumnFacts] = field(default_factory=dict)
    bytes_read: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    check: str
    unit: str
    partition: str
    where: str
    expected: str
    found: str

    def to_json(self) -> dict[str, Any]:
        names = ("check", "unit", "partition", "where", "expected", "found")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all checks say of one unit's evidence. `figures`: check -> how much it looked at."""

    unit: str
    attempt: str
    findings: tuple[Finding, ...]
    figures: Mapping[str, int]
    digest: str = ""
    bytes_read: int = 0
    seconds: float = 0.0
    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return not self.findings
