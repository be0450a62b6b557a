"""What a config says, as frozen values: read once, checked once, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StorageSpec:
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    anonymous: bool = False
    kms_key: str | None = None
    single_writer: bool = False


@dataclass(frozen=True, slots=True)
class CsvSpec:
    delimiter: str = ","
    header: bool = True
    null: str = ""
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """`schema` maps a column to the text of an Arrow type; `uri` is absolute ("s3://b/p", "/a/b")."""

    uri: str
    path: str = "**"
    format: str | None = None
    schema: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    storage: StorageSpec = StorageSpec()
    csv: CsvSpec = CsvSpec()
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Moment:
    """One bound of the scope: an instant in microseconds since 1970 UTC, and what was written.

    A date is the first instant of the zone's day.
    """

    instant: int
    text: str
    is_date: bool


@dataclass(frozen=True, slots=True)
class ScopeSpec:
    """Which rows of the target a backfill is about; `start` is inside, `end` outside."""

    start: Moment | None = None
    end: Moment | None = None
    column: str | None = None
    include: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    margin_seconds: int = 0

    @property
    def is_all(self) -> bool:
        return not (self.start or self.end or self.include or self.exclude)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A small table for joins."""

    uri: str
    path: str = "**"
    format: str | None = None
    schema: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TransformSpec:
    """`python` is "module:function", `sql` the text of the query (a file's text is read in)."""

    python: str | None = None
    sql: str | None = None
    per: str = "rows"
    params: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, TableSpec] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True, slots=True)
class PartitionField:
    """One folder level of the target: `name=` and the column's value, or a piece of a time.

    `template` is None for the column's own value, else like "{ts:%Y-%m-%d}".
    """

    name: str
    template: str | None = None


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """`mode`: "replace", or "append", which needs `allow_duplicates`: nobody knows what is there already."""

    uri: str
    format: str = "parquet"
    partition_by: tuple[PartitionField, ...] = ()
    mode: str = "replace"
    outside_scope: str = "error"
    on_empty: str = "error"
    schema: Mapping[str, str] = field(default_factory=dict)
    sort_by: tuple[str, ...] = ()
    file_size: int = 256_000_000
    storage: StorageSpec = StorageSpec()
    timezone: str = "UTC"
    allow_duplicates: bool = False


@dataclass(frozen=True, slots=True)
class LimitsSpec:
    """`worker_memory` in bytes; `concurrency` units at once, None for as many as there are CPUs."""

    worker_memory: int = 1_000_000_000
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class RetriesSpec:
    """`attempts` at a unit in all; `breaker` is the share of units that may fail for good."""

    attempts: int = 4
    breaker: float = 0.05


@dataclass(frozen=True, slots=True)
class QuerySpec:
    """A query over this run's rows (the views `source` and `target`) or, where one of the two is given,
    over a database: by its URL, or by the environment variable that holds it."""

    sql: str
    database: str | None = None
    database_env: str | None = None

    @property
    def is_outside(self) -> bool:
        return self.database is not None or self.database_env is not None


@dataclass(frozen=True, slots=True)
class ReconcileSpec:
    """Two queries that must give the same rows. Without `keys`, the source's first column tells rows
    apart; `tolerance` is how far two numbers may be apart: "0.01", or a share of the larger, "0.1%"."""

    source: QuerySpec
    target: QuerySpec
    keys: tuple[str, ...] = ()
    tolerance: str = "0"


@dataclass(frozen=True, slots=True)
class VerifySpec:
    """`read_back`: how much of what was written is read again ("full", "sample", "none")."""

    read_back: str = "full"
    reconcile: tuple[ReconcileSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class BackfillSpec:
    """`shrink` is the share of its rows that a partition may lose; `publish` says when: at the "end", or
    "manual", when somebody says so."""

    name: str
    source: SourceSpec
    target: TargetSpec
    state: str
    timezone: str = "UTC"
    scope: ScopeSpec = ScopeSpec()
    transform: TransformSpec = TransformSpec()
    order: str = "oldest_first"
    limits: LimitsSpec = LimitsSpec()
    retries: RetriesSpec = RetriesSpec()
    verify: VerifySpec = VerifySpec()
    shrink: float = 0.5
    publish: str = "end"

    @property
    def in_place(self) -> bool:
        """Whether the source is the target itself: a repair of the table's own rows. The same name
        at two endpoints is two tables."""
        same_name = self.source.uri.rstrip("/") == self.target.uri.rstrip("/")
        return same_name and self.source.storage.endpoint_url == self.target.storage.endpoint_url
