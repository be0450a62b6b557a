"""What the planner asks for, built: readers, the job to try, and a sample to try it on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from raybackfill.assembly import Assembly
from raybackfill.code import Code
from raybackfill.control.planning.guessing import guess_template
from raybackfill.control.planning.plan import LookupTable, Recipe
from raybackfill.control.planning.schemas import resolve
from raybackfill.control.planning.scope import Scope
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.errors import SpecError
from raybackfill.flow.extract import Extract
from raybackfill.model import Piece
from raybackfill.planning.discovery import Discovered, discover, find_format, inspect, plan_objects
from raybackfill.sources import Source
from raybackfill.spec import (
    BackfillSpec,
    ScopeSpec,
    SourceSpec,
    StorageSpec,
    TableSpec,
    arrow_type,
    read_spec,
)
from raybackfill.storage import ObjectStore
from raybackfill.storage.meter import Meter
from raybackfill.table import Table
from raybackfill.wiring import Stores, make_source

SAMPLE_BATCH_BYTES = 4_000_000
LOOKED_AT_MAX = 100
PLANNING = "planning"


class PlanningParts:
    def __init__(self, spec: BackfillSpec, stores: Stores) -> None:
        self._spec = spec
        self._stores = stores
        self.source_store = stores.source
        self.target_store = stores.target
        self.table = Table(stores.target, stores.state, spec.target.uri)

    def reader(self, format: str) -> Source:
        return make_source(format, self._spec.source)

    def target_reader(self) -> Source:
        return make_source("parquet", SourceSpec(self._spec.target.uri))

    def lookup_tables(self) -> Mapping[str, LookupTable]:
        return {name: self._lookup(name, table) for name, table in self._spec.transform.tables.items()}

    def lookup_objects(self) -> Sequence[pa.Table]:
        return [self._discover(table).objects for table in self._spec.transform.tables.values()]

    def _discover(self, table: TableSpec) -> Discovered:
        store = self._stores.of(table.uri, self._spec.source.storage)
        template = PathTemplate.parse(table.path, self._spec.source.timezone)
        types = {column: arrow_type(text) for column, text in table.schema.items()}
        return discover(store, table.uri, template, Scope(ScopeSpec(), None, "UTC"), types)

    def _lookup(self, name: str, table: TableSpec) -> LookupTable:
        """Pin a small table for joins: its objects as they are now, and the schema of all of them."""
        types = {column: arrow_type(text) for column, text in table.schema.items()}
        store = self._stores.of(table.uri, self._spec.source.storage)
        found = self._discover(table)
        if found.objects.num_rows == 0:
            raise SpecError("nothing lies there", where=f"transform.tables.{name}.uri: {table.uri}")
        format = find_format(found.keys, table.format)
        source = make_source(format, SourceSpec(table.uri, schema=table.schema))
        inspected = inspect(store, source, found.objects, 0)
        how = source.combine([group.schema for group in inspected.groups])
        resolution = resolve(inspected.groups, how, types)
        if resolution.conflicts:
            conflict = resolution.conflicts[0]
            raise SpecError(
                f"{conflict.column} is {conflict.one} in {conflict.one_example} and {conflict.other} in "
                f"{conflict.other_example}",
                where=f"transform.tables.{name}.schema",
            )
        objects = plan_objects(found.objects, [0] * found.objects.num_rows, inspected)
        return LookupTable(format, tuple(item.piece for item in objects), resolution.schema)

    def job(self, recipe: Recipe, code: Code) -> Callable[[pa.Table], pa.Table]:
        return Assembly(recipe, self._stores, code.bundle, PLANNING).job()

    def sample(self, recipe: Recipe, code: Code, pieces: Sequence[Piece], rows: int) -> pa.Table:
        """The first rows of the pieces, as the job gets them: `rows` in all, as many of each."""
        extract = Assembly(recipe, self._stores, code.bundle, PLANNING).extract(scoped=False)
        share = max(rows // max(len(pieces), 1), 1)
        heads = [_head(extract, _first_part(piece), share) for piece in pieces]
        return pa.concat_tables([recipe.row_schema.empty_table(), *heads])


def _head(extract: Extract, piece: Piece, rows: int) -> pa.Table:
    """The first rows of a piece that pass its filters, read no further than that takes."""
    tables: list[pa.Table] = []
    count = 0
    for batch in extract.batches([piece], SAMPLE_BATCH_BYTES):
        tables.append(batch.table.slice(0, rows - count))
        count += tables[-1].num_rows
        if count >= rows:
            break
    return pa.concat_tables([extract.row_schema.empty_table(), *tables])


def _first_part(piece: Piece) -> Piece:
    """Its first row group: a sample of a large object should cost one request, not the object."""
    return replace(piece, row_groups=(0,), rows=-1) if piece.row_groups else piece


@dataclass(frozen=True)
class Look:
    """What lies at a source: a template that fits its paths, the columns these say, and all columns."""

    template: str
    path_columns: tuple[str, ...]
    schema: pa.Schema


def look_at(uri: str, root: Path, storage: StorageSpec = StorageSpec()) -> Look:  # noqa: B008 (frozen)
    """Look at a source before there is a config for it. SpecError where nothing lies there."""
    document = f"name: look\nsource: {{uri: {json.dumps(uri)}}}\ntarget: {{uri: _raybackfill_look/table}}\n"
    spec = read_spec(document, where="--source", root=str(root), read_file=lambda name: "")
    spec = replace(spec, source=replace(spec.source, storage=storage))
    store = Stores(spec, Meter()).source
    return Look(*_look_at_source(store, spec.source))


def _look_at_source(store: ObjectStore, spec: SourceSpec) -> tuple[str, tuple[str, ...], pa.Schema]:
    """A template that fits the source's paths, the columns that they say, and the schema of all rows."""
    everything = PathTemplate.parse("**", spec.timezone)
    scope = Scope(ScopeSpec(), None, spec.timezone)
    keys = discover(store, spec.uri, everything, scope, {}).keys.to_pylist()
    if not keys:
        raise SpecError("nothing lies there", where=f"--source {spec.uri}", next="check the URI")
    template = guess_template(keys[:LOOKED_AT_MAX])
    found = discover(store, spec.uri, PathTemplate.parse(template, spec.timezone), scope, {})
    source = make_source(find_format(found.keys, spec.format), spec)
    seen = inspect(store, source, found.objects.slice(0, LOOKED_AT_MAX), 0)
    resolution = resolve(seen.groups, source.combine([group.schema for group in seen.groups]), {})
    paths = tuple(found.values.column_names)
    extra = [field for field in found.values.schema if field.name not in resolution.schema.names]
    return template, paths, pa.schema([*resolution.schema, *extra])
