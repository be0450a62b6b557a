"""Names in a spec -> objects: the only module that knows every plug-in."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from raybackfill.engines import Engine, Work
from raybackfill.errors import SpecError
from raybackfill.frames import Frame
from raybackfill.paths import default_state, scheme_of, scratch
from raybackfill.sources import Source
from raybackfill.spec import BackfillSpec, SourceSpec, StorageSpec, arrow_type
from raybackfill.storage import ObjectStore
from raybackfill.storage.meter import Meter
from raybackfill.targets import Target


class Stores:
    """The stores of one process: the same place and settings give the same store, so that a copy
    within it needs no reading. All count into one meter."""

    def __init__(self, spec: BackfillSpec, meter: Meter) -> None:
        self._spec = spec
        self.meter = meter
        self._made: dict[tuple[str, StorageSpec], ObjectStore] = {}

    @property
    def source(self) -> ObjectStore:
        return self.of(self._spec.source.uri, self._spec.source.storage)

    @property
    def target(self) -> ObjectStore:
        return self.of(self._spec.target.uri, self._spec.target.storage)

    @property
    def state(self) -> ObjectStore:
        return self.of(self._spec.state, self._spec.target.storage)

    def of(self, uri: str, storage: StorageSpec) -> ObjectStore:
        scheme = scheme_of(uri)
        made = self._made.get((scheme, storage))
        if made is None:
            target = self._spec.target.uri
            # Temporary files lie beside the target: on its disk, and where no reader looks.
            beside = scratch(default_state(target)) if "://" not in target else None
            made = open_store(scheme, storage, self.meter, beside)
            self._made[scheme, storage] = made
        return made


def state_store(uri: str, storage: StorageSpec) -> ObjectStore:
    """The store of a state folder, for looking at runs whose spec is not read yet."""
    return open_store(scheme_of(uri), storage, Meter(), None)


def open_store(scheme: str, storage: StorageSpec, meter: Meter, scratch_folder: str | None) -> ObjectStore:
    if scheme == "s3":
        from raybackfill.storage.s3 import S3Store

        return S3Store(storage, meter)
    if scheme == "file":
        from raybackfill.storage.local import LocalStore

        return LocalStore(meter, scratch=scratch_folder)
    require("fsspec", f"{scheme}://", "fsspec")
    from raybackfill.storage.fsspec import FsspecStore

    # `storage` speaks of S3; other filesystems have settings of their own, where fsspec finds them.
    return FsspecStore(scheme, meter)


def make_source(format: str, spec: SourceSpec) -> Source:
    overrides = {name: arrow_type(text) for name, text in spec.schema.items()}
    if format == "parquet":
        from raybackfill.sources.parquet import ParquetSource

        return ParquetSource(overrides, spec.timezone)
    if format == "csv":
        from raybackfill.sources.csv import CsvSource

        return CsvSource(spec.csv, spec.timezone, overrides)
    if format == "jsonl":
        from raybackfill.sources.jsonl import JsonlSource

        return JsonlSource(spec.timezone, overrides)
    raise SpecError(f"no source format {format!r}", where="source.format", next="use parquet, jsonl or csv")


def make_target(format: str) -> Target:
    if format == "parquet":
        from raybackfill.targets.parquet import ParquetTarget

        return ParquetTarget()
    raise SpecError(f"no target format {format!r}", where="target.format", next="use parquet")


def make_frame(name: str) -> Frame:
    if name == "arrow":
        from raybackfill.frames.arrow import ArrowFrame

        return ArrowFrame()
    if name in ("polars", "polars_lazy"):
        require("polars", "the job takes a Polars frame", "polars")
        from raybackfill.frames.polars import PolarsFrame

        return PolarsFrame(lazy=name == "polars_lazy")
    if name == "pandas":
        require("pandas", "the job takes a pandas DataFrame", "pandas")
        from raybackfill.frames.pandas import PandasFrame

        return PandasFrame()
    raise SpecError(f"no frame {name!r}", where="transform.python")


def make_sql_frame(timezone: str) -> Frame:
    require("duckdb", "transform.sql", "sql")
    from raybackfill.frames.sql import SqlFrame

    return SqlFrame(timezone)


def make_query(query: str, params: Mapping[str, Any], tables: Mapping[str, pa.Table], timezone: str) -> Any:
    require("duckdb", "transform.sql", "sql")
    from raybackfill.frames.sql import Query

    return Query(query, params, tables, timezone)


def make_predicate(where: str, timezone: str) -> Any:
    require("duckdb", "source.where", "sql")
    from raybackfill.frames.sql import Predicate

    return Predicate(where, timezone)


def check_query(query: str, per: str) -> None:
    """SpecError for SQL that looks beyond a row under `per: rows`, or whose answer changes by itself."""
    require("duckdb", "transform.sql", "sql")
    from raybackfill.frames.sql import grouping, unstable

    beyond = grouping(query) if per == "rows" else []
    if beyond:
        raise SpecError(
            f"the query has {', '.join(beyond)}, and under per: rows it sees any batch of rows",
            where="transform.sql",
            next="say transform.per: partition, so that it gets all rows of a source partition at once",
        )
    changing = unstable(query)
    if changing:
        raise SpecError(
            f"{', '.join(changing)} gives another answer each time, and a retry must give the same rows",
            where="transform.sql",
            next="take the time from the data, or give it as a parameter",
        )


def make_views(
    views: Mapping[str, tuple[pa.Schema, Callable[[Sequence[str]], Iterable[pa.Table]]]],
    queries: Sequence[str],
    timezone: str,
    memory_bytes: int,
) -> Any:
    """What answers queries over these views. SpecError for queries that change their answer by themselves."""
    require("duckdb", "a query of verify.reconcile", "sql")
    from raybackfill.frames.views import View, Views

    made = {name: View(schema, tables) for name, (schema, tables) in views.items()}
    return Views(made, queries, timezone, memory_bytes)


def check_view_query(query: str) -> None:
    require("duckdb", "a query of verify.reconcile", "sql")
    from raybackfill.frames.views import check_stable

    check_stable(query)


def check_database(url: str, query: str) -> None:
    require("sqlalchemy", "a query to a database", "database")
    from raybackfill.sources import database

    database.check_database(url, query)


def ask_database(url: str, query: str) -> pa.Table:
    require("sqlalchemy", "a query to a database", "database")
    from raybackfill.sources import database

    return database.ask_database(url, query)


def require(module: str, needed_for: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise SpecError(
            f"{needed_for} needs {module}, which is not installed",
            next=f"pip install 'raybackfill[{extra}]'",
        )


def make_engine(name: str, work: Work, *, address: str | None, workers: int | None) -> Engine:
    if name == "inline":
        from raybackfill.engines.inline import InlineEngine

        return InlineEngine(work)
    if name == "ray":
        from raybackfill.engines.ray.executor import RayEngine

        return RayEngine(work, address=address, workers=workers)
    raise SpecError(f"no engine {name!r}", where="--engine", next="use ray or inline")
