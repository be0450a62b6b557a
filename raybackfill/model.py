"""The nouns: frozen values that cross the boundaries between layers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from typing import Any

from raybackfill.errors import IntegrityError


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one object as the plan pinned it: all of it, or some of its row groups.

    `rows` is -1 where the plan could not know it; `decoded_bytes` is an estimate of its size as
    Arrow data in memory, `read_bytes` of how much of the object is read for it; `partition` is the
    number of the source partition that it belongs to, `row_group_count` how many row groups the
    whole object has (0 where it cannot be split).
    """

    key: str
    size: int
    tag: str
    row_groups: tuple[int, ...] | None
    rows: int
    decoded_bytes: int
    read_bytes: int = 0
    partition: int = 0
    row_group_count: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """What is retried whole and committed whole. `stage` is "work" (source rows through the job)
    or "carry" (rows of the target outside the scope, kept as they are)."""

    id: str
    index: int
    stage: str
    pieces: tuple[Piece, ...]

    @property
    def decoded_bytes(self) -> int:
        return sum(piece.decoded_bytes for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Rows:
    """Row counts of an attempt: read + added = out + filtered + quarantined + merged + (carry) carried.

    `added` is what a job made beyond the rows it was given (an explode); `merged` is what it drew
    together (`per: partition`); `carried` is what a carry unit kept.
    """

    read: int = 0
    out: int = 0
    filtered: int = 0
    quarantined: int = 0
    merged: int = 0
    carried: int = 0
    added: int = 0

    def __add__(self, other: Rows) -> Rows:
        return Rows(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Rows)))

    def __sub__(self, other: Rows) -> Rows:
        return Rows(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(Rows)))

    def to_json(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, int]) -> Rows:
        return cls(**{f.name: int(value.get(f.name, 0)) for f in fields(cls)})


DIGEST_ALGORITHM = "rowsum1"
"""Names how rows become a digest. Any change of `flow/digest` that changes one needs another name."""


@dataclass(frozen=True, slots=True)
class Digest:
    """The sum of a hash of each row, over 2**128: digests of parts add up to that of the whole."""

    value: int = 0

    def __add__(self, other: Digest) -> Digest:
        return Digest((self.value + other.value) % (1 << 128))

    def __sub__(self, other: Digest) -> Digest:
        return Digest((self.value - other.value) % (1 << 128))

    def __str__(self) -> str:
        return f"{DIGEST_ALGORITHM}:{self.value:032x}"

    @classmethod
    def read(cls, text: str) -> Digest:
        """IntegrityError for a digest of another algorithm: the two cannot be compared."""
        algorithm, _, digits = text.partition(":")
        if algorithm != DIGEST_ALGORITHM:
            raise IntegrityError(
                f"a digest was made by {algorithm!r}, this version makes {DIGEST_ALGORITHM}",
                next="verify it with the version of raybackfill that made it",
            )
        return cls(int(digits, 16))


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file that an attempt wrote where no reader looks. `partition` is the folder under the
    target that it is for ("dt=2025-01-01/region=eu", "" for a table without partitions)."""

    key: str
    partition: str
    rows: int
    size: int
    tag: str


@dataclass(frozen=True, slots=True)
class PartitionProof:
    """How many rows an attempt gave to a folder of the target, and their digest."""

    partition: str
    rows: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What is known of a column's values. `min`, `max` and `sum` are JSON values: numbers as they are,
    decimals and times as text; None where a type has none or there is no value. A sum is exact, or
    not there (floats). Bounds of long texts are left out."""

    nulls: int
    min: Any = None
    max: Any = None
    sum: Any = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one attempt at a unit staged, and how many rows went where.

    `partitions` and `columns` tell of the rows as they were before they were written; None where the
    receipt is of a version that did not look. That took `proof_seconds` of all the `seconds`.
    """

    unit: str
    attempt: str
    rows: Rows
    files: tuple[StagedFile, ...]
    bytes_read: int
    bytes_staged: int
    requests: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    partitions: tuple[PartitionProof, ...] | None = None
    columns: Mapping[str, ColumnFacts] = field(default_factory=dict)
    proof_seconds: float = 0.0

    @property
    def digest(self) -> Digest:
        return sum((proof.digest for proof in self.partitions or ()), Digest())

    def to_bytes(self) -> bytes:
        """As it is stored. The same receipt gives the same bytes in every process."""
        return json.dumps(self.to_json(), separators=(",", ":")).encode()

    def to_json(self) -> dict[str, Any]:
        content = {
            "format": "receipt/1",
            "unit": self.unit,
            "attempt": self.attempt,
            "rows": self.rows.to_json(),
            "files": [asdict(file) for file in self.files],
            "bytes_read": self.bytes_read,
            "bytes_staged": self.bytes_staged,
            "requests": dict(self.requests),
            "seconds": self.seconds,
        }
        if self.partitions is None:
            return content
        proofs = [
            {"partition": p.partition, "rows": p.rows, "digest": str(p.digest)} for p in self.partitions
        ]
        columns = {name: asdict(facts) for name, facts in self.columns.items()}
        proved = {"digest": str(self.digest), "partitions": proofs, "columns": columns}
        return {**content, **proved, "proof_seconds": self.proof_seconds}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Receipt:
        proofs = value.get("partitions")
        if proofs is not None:
            proofs = tuple(
                PartitionProof(p["partition"], p["rows"], Digest.read(p["digest"])) for p in proofs
            )
        return cls(
            unit=value["unit"],
            attempt=value["attempt"],
            rows=Rows.from_json(value["rows"]),
            files=tuple(StagedFile(**f) for f in value["files"]),
            bytes_read=value["bytes_read"],
            bytes_staged=value["bytes_staged"],
            requests=value["requests"],
            seconds=value["seconds"],
            partitions=proofs,
            columns={name: ColumnFacts(**facts) for name, facts in value.get("columns", {}).items()},
            proof_seconds=value.get("proof_seconds", 0.0),
        )


def checksum(data: bytes) -> str:
    """What tells whether a stored document is still the one that was written: 64 bits of its SHA-256."""
    return sha256(data).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of one version of a table: its path below the target's URI, and what it must be.

    `staged` is the key of the staged file it was made from, "" for a file that was there before; `since`
    the version that brought it (0: it was there before); `stamp` the attempt that wrote it: where a copy
    gets another tag than its original (S3, above one part), the stamp proves the identity. `rows` is -1
    where nobody counted them. A path that is left without rows holds an empty file, whose `rows` are 0.
    """

    path: str
    size: int
    tag: str
    rows: int = -1
    stamp: str = ""
    staged: str = ""
    since: int = 0

    @property
    def is_empty(self) -> bool:
        """Nobody's rows: ours, and free to be replaced."""
        return self.rows == 0

    def is_shown_by(self, tag: str, size: int, stamp: str) -> bool:
        """Whether an object of this tag, size and stamp is this file."""
        return tag == self.tag or (stamp == self.stamp != "" and size == self.size)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a table: all its files, and those of the version before that it retires.

    It is fence, commit point and idempotency key in one: it is created once under its number. A path
    that it changes held before exactly what `retired` says, or nothing. `scheme` is that of the store
    in which its run lies; `undoes`, where it takes its run back, the first version of that run.
    """

    number: int
    run_id: str
    run_root: str
    plan_id: str
    epoch: int
    at: str
    files: tuple[TableFile, ...]
    retired: tuple[TableFile, ...]
    scheme: str = ""
    undoes: int = 0

    @property
    def base(self) -> int:
        return self.number - 1

    @property
    def with_rows(self) -> tuple[TableFile, ...]:
        """What a reader of the version reads."""
        return tuple(file for file in self.files if not file.is_empty)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": VERSION_FORMAT,
            "version": self.number,
            "base": self.base,
            "run_id": self.run_id,
            "run_root": self.run_root,
            "scheme": self.scheme,
            "plan_id": self.plan_id,
            "epoch": self.epoch,
            "undoes": self.undoes,
            "at": self.at,
            "files": [asdict(file) for file in self.files],
            "retired": [asdict(file) for file in self.retired],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Version:
        """Also of "version/1", which removed the paths that it left without rows, and which named the
        staged file of what it brought itself alone."""
        number = value["version"]
        files = tuple(TableFile(**file) for file in value["files"])
        if value["format"] == VERSION_FORMATS[0]:
            files = tuple(replace(file, since=number) if file.staged else file for file in files)
        return cls(
            number=number,
            run_id=value["run_id"],
            run_root=value["run_root"],
            plan_id=value["plan_id"],
            epoch=value["epoch"],
            at=value["at"],
            files=files,
            retired=tuple(TableFile(**file) for file in value["retired"]),
            scheme=value.get("scheme", ""),
            undoes=value.get("undoes", 0),
        )


VERSION_FORMAT = "version/2"
VERSION_FORMATS = ("version/1", VERSION_FORMAT)
"""Those that are read."""
