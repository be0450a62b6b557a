"""Puts the hops of a recipe together: on a worker for its units, in the driver for the trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.code import load_job
from raybackfill.code.signature import read_signature
from raybackfill.control.planning.narrowing import narrowed
from raybackfill.control.planning.partitioning import Partitioning
from raybackfill.control.planning.plan import LookupTable, Recipe
from raybackfill.control.planning.scope import Scope
from raybackfill.control.planning.templates import PathTemplate, path_columns
from raybackfill.errors import SpecError, UnitError
from raybackfill.flow.evidence import Looking
from raybackfill.flow.extract import Extract, Mask, PathValues
from raybackfill.flow.load import Loader
from raybackfill.flow.transform import Job, conform
from raybackfill.flow.unit import Hops
from raybackfill.frames import Frame
from raybackfill.job import Context
from raybackfill.model import Unit
from raybackfill.paths import RunPaths, TablePaths, appended, key_of, slot
from raybackfill.planning.discovery import source_root, typed
from raybackfill.spec import arrow_type
from raybackfill.storage import ObjectInfo
from raybackfill.storage.names import too_long
from raybackfill.targets import FileWriter
from raybackfill.wiring import (
    Stores,
    check_query,
    make_frame,
    make_predicate,
    make_query,
    make_source,
    make_sql_frame,
    make_target,
)

BATCH_BYTES = 32_000_000
ANY_UNIT = 16 * "0"


def identity(table: pa.Table) -> pa.Table:
    return table


def all_of(table: pa.Table) -> tuple[pa.Table, int]:
    return table, 0


class Assembly:
    """Builds what a recipe needs, each part when it is asked for. `bundle` is the job's code."""

    def __init__(self, recipe: Recipe, stores: Stores, bundle: bytes, run_id: str) -> None:
        self.recipe = recipe
        self._stores = stores
        self._bundle = bundle
        self._run_id = run_id
        spec = recipe.spec
        self._template = PathTemplate.parse(spec.source.path, spec.source.timezone)
        self._scope = Scope(spec.scope, recipe.scope_column, spec.timezone)
        self._partitioning = Partitioning(spec.target.partition_by, spec.target.timezone, self._template)

    def hops(self, stage: str, paths: RunPaths) -> Hops:
        """The hops of "work" (source rows through the job) or "carry" (rows that the target keeps)."""
        carries = stage == "carry"
        recipe = self.recipe
        run_job = identity if carries else self.job()
        ref = "the target" if carries else recipe.code_ref

        def transform(table: pa.Table) -> pa.Table:
            return conform(run_job(table), recipe.output_schema, ref)

        return Hops(
            extract=self.carry_extract() if carries else self.extract(scoped=True),
            transform=transform,
            accept=all_of if carries else self._accept,
            folders=self._partitioning.folder_codes,
            loader=self._loaders(paths),
            check_folders=lambda folders: self._check_folders(folders, paths),
            whole_partitions=not carries and recipe.spec.transform.per == "partition",
            carries=carries,
        )

    def extract(self, *, scoped: bool) -> Extract:
        """Source rows with their path columns; `scoped`: only those that the scope needs."""
        recipe, source = self.recipe, self.recipe.spec.source
        filters: list[Mask] = []
        if source.where:
            filters.append(make_predicate(source.where, source.timezone))
        wanted = narrowed(self._scope.with_margin(), recipe.row_schema)
        if scoped and wanted.needs:
            filters.append(wanted.mask)
        return Extract(
            self._stores.source,
            make_source(recipe.format, source),
            self._source_paths(),
            recipe.file_schema,
            recipe.row_schema,
            filters,
            source.timezone,
        )

    def carry_extract(self) -> Extract:
        """Rows of the target that are out of scope, as they are."""
        recipe = self.recipe
        schema = recipe.output_schema
        columns = self._partitioning.file_columns(schema)

        def out_of_scope(table: pa.Table) -> pa.BooleanArray:
            return pc.invert(self._scope.mask(table))

        return Extract(
            self._stores.target,
            make_source("parquet", type(recipe.spec.source)(recipe.spec.target.uri)),
            self._target_paths,
            pa.schema([schema.field(name) for name in columns]),
            schema,
            [out_of_scope],
            recipe.spec.target.timezone,
        )

    def looking(self, paths: RunPaths) -> Looking:
        """What reads back the files of the run's units."""
        schema = self.recipe.output_schema
        return Looking(
            self._stores.state,
            self._stores.target,
            paths,
            schema,
            lambda folder: self._partitioning.restore(folder, schema),
            self._partitioning.folder_codes,
        )

    def job(self) -> Callable[[pa.Table], pa.Table]:
        """The user's job: Arrow rows in and out. SpecError where it cannot take what it would get."""
        recipe, transform = self.recipe, self.recipe.spec.transform
        if transform.python is None and transform.sql is None:
            return identity
        tables = self._lookup_tables()
        if transform.sql is not None:
            check_query(transform.sql, transform.per)
            frame = make_sql_frame(recipe.spec.timezone)
            query = make_query(transform.sql, transform.params, tables, recipe.spec.timezone)
            self._refuse_types(frame)
            return Job("transform.sql", query, frame)
        function = load_job(recipe.code_ref, self._bundle)
        asked = read_signature(function, recipe.code_ref, transform.params, tables)
        frame = make_frame(asked.frame)
        self._refuse_types(frame)
        arguments: dict[str, Any] = dict(transform.params)
        for name, name_of_frame in asked.tables.items():
            arguments[name] = make_frame(name_of_frame).from_arrow(tables[name])
        if asked.context:
            as_of = datetime.fromisoformat(recipe.as_of)
            arguments["context"] = Context(self._run_id, as_of, recipe.spec.timezone)
        return Job(recipe.code_ref, function, frame, arguments)

    def _refuse_types(self, frame: Frame) -> None:
        for field in self.recipe.row_schema:
            if not frame.carries(field):
                raise SpecError(
                    f"{frame.name} cannot carry the column {field.name}, which is {field.type}",
                    where="transform",
                    next="let the job take pa.Table, or say another type in source.schema",
                )

    def _lookup_tables(self) -> dict[str, pa.Table]:
        return {name: self._load(name, table) for name, table in self.recipe.tables.items()}

    def _load(self, name: str, table: LookupTable) -> pa.Table:
        spec = self.recipe.spec.source
        asked = self.recipe.spec.transform.tables[name]
        source = make_source(table.format, type(spec)(asked.uri, schema=asked.schema, timezone=spec.timezone))
        store = self._stores.of(asked.uri, spec.storage)
        parts = [
            part for piece in table.pieces for part in source.read(store, piece, table.schema, BATCH_BYTES)
        ]
        return pa.concat_tables(parts) if parts else table.schema.empty_table()

    def _source_paths(self) -> Callable[[Sequence[str]], Sequence[PathValues]]:
        spec = self.recipe.spec.source
        types = {name: arrow_type(text) for name, text in spec.schema.items()}
        root = source_root(self._stores.source, spec.uri)

        def values_of(keys: Sequence[str]) -> list[PathValues]:
            match = self._template.match(pa.array([key[len(root) :] for key in keys], pa.string()))
            values = typed(match.values, types)
            return [
                PathValues(
                    path_columns(values, index),
                    self._template.time_column,
                    None if match.starts is None else match.starts[index].as_py(),
                    None if match.ends is None else match.ends[index].as_py(),
                )
                for index in range(len(keys))
            ]

        return values_of

    def _target_paths(self, keys: Sequence[str]) -> list[PathValues]:
        root = key_of(self.recipe.spec.target.uri) + "/"
        folders = [key[len(root) :].rpartition("/")[0] for key in keys]
        schema = self.recipe.output_schema
        return [PathValues(self._partitioning.restore(folder, schema)) for folder in folders]

    def _accept(self, table: pa.Table) -> tuple[pa.Table, int]:
        """Rows of the job that are out of scope: refused or left out, as target.outside_scope says. The
        count is the mask's own, so that a row lost with them shows."""
        if self._appends and not self._scope.can_judge(table.schema):
            return table, 0
        mask = self._scope.mask(table)
        if mask.false_count == 0:
            return table, 0
        if self.recipe.spec.target.outside_scope == "filter":
            return table.filter(mask), mask.false_count
        row = table.slice(pc.index(mask, False).as_py(), 1).select(sorted(self._scope.needs)).to_pylist()[0]
        said = ", ".join(f"{name} = {value}" for name, value in row.items())
        raise UnitError(
            f"the job gives {mask.false_count} row(s) out of scope, the first with {said}",
            next="widen the scope, or say target.outside_scope: filter",
        )

    def _check_folders(self, folders: Sequence[str], paths: RunPaths) -> None:
        """A row in scope must not land in a folder that the plan does not replace, or that the store
        cannot make: a publish would fail halfway."""
        for folder in folders:
            self._check_length(self._path_in(folder, paths), paths)
        if self._appends:
            return
        classes = self._partitioning.classify(pa.array(folders, pa.string()), self._scope).to_pylist()
        wrong = [folder for folder, found in zip(folders, classes, strict=True) if found == "outside"]
        if wrong:
            raise UnitError(
                f"rows in scope belong to {wrong[0]}, which lies outside of it",
                next="let the job keep the partition's columns in step with the scope's time",
            )

    @property
    def _appends(self) -> bool:
        return self.recipe.spec.target.mode == "append"

    def _path_in(self, folder: str, paths: RunPaths) -> str:
        """As long as a file's path in this folder can become."""
        return appended(folder, paths.run_id, ANY_UNIT, 0) if self._appends else slot(folder, 0)

    def _check_length(self, path: str, paths: RunPaths) -> None:
        target = TablePaths(key_of(self.recipe.spec.target.uri)).file(path)
        for store, key in ((self._stores.target, target), (self._stores.state, paths.previous(0, path))):
            reason = too_long(store.scheme, key)
            if reason is not None:
                raise UnitError(
                    f"no file can be written to {path[:40]}..: {reason}",
                    next="let the job give shorter values for the columns of target.partition_by",
                )

    def write_empty(self, key: str, stamp: str) -> ObjectInfo:
        """A file of the target without rows, in the state."""
        upload = self._stores.state.upload(key, stamp=stamp)
        return (
            make_target(self.recipe.spec.target.format)
            .writer(upload, self._file_schema(), stamp=stamp)
            .close()
        )

    def _file_schema(self) -> pa.Schema:
        columns = self._partitioning.file_columns(self.recipe.output_schema)
        return pa.schema([self.recipe.output_schema.field(name) for name in columns])

    def _loaders(self, paths: RunPaths) -> Callable[[Unit, str], Loader]:
        spec = self.recipe.spec.target
        target = make_target(spec.format)
        schema = self._file_schema()
        store = self._stores.state

        def loader(unit: Unit, attempt: str) -> Loader:
            numbers = count()

            def begin() -> FileWriter:
                key = paths.staged_file(unit.id, attempt, next(numbers))
                return target.writer(store.upload(key, stamp=attempt), schema, stamp=attempt)

            return Loader(
                schema,
                begin,
                sort_by=spec.sort_by,
                file_size=spec.file_size,
            )

        return loader
