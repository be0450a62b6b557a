"""Hop 1, plan: looks at source and target, and puts together the plan that a run will carry out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.code import Code
from raybackfill.control.planning.aligning import align
from raybackfill.control.planning.expectation import expected_folders
from raybackfill.control.planning.narrowing import narrowed, refuse_bounds_within_a_piece
from raybackfill.control.planning.partitioning import Partitioning
from raybackfill.control.planning.plan import (
    TARGET_FILES,
    LookupTable,
    Plan,
    Recipe,
    basis,
    plan_id,
    units_table,
)
from raybackfill.control.planning.schemas import Resolution, resolve
from raybackfill.control.planning.scope import Scope, choose_column
from raybackfill.control.planning.summary import Findings, summarize
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.control.planning.trial import output_schema, refuse_lost_columns, try_row_by_row
from raybackfill.control.planning.units import PlannedObject, plan_units, unit_bytes_max
from raybackfill.errors import SpecError, UnitError
from raybackfill.model import Piece, TableFile, Unit
from raybackfill.paths import PlanPaths, key_of
from raybackfill.planning.discovery import (
    Discovered,
    Inspected,
    discover,
    find_format,
    inspect,
    named,
    nothing_found,
    object_info,
    partition_ids,
    plan_objects,
)
from raybackfill.sources import Source
from raybackfill.spec import BackfillSpec, arrow_type
from raybackfill.storage import ObjectStore
from raybackfill.table import Table, without_empty_files
from raybackfill.table.view import paths_behind

SAMPLE_ROWS = 2_000
SAMPLE_OBJECTS_MAX = 8
# A whole partition where it is not larger: what such a job gives may depend on all rows.
SAMPLE_PARTITION_ROWS = 200_000


class Parts(Protocol):
    """What the planner needs built: stores, readers by format, and the job to try."""

    source_store: ObjectStore
    target_store: ObjectStore
    table: Table

    def reader(self, format: str) -> Source: ...

    def target_reader(self) -> Source: ...

    def lookup_tables(self) -> Mapping[str, LookupTable]: ...

    def sample(self, recipe: Recipe, code: Code, pieces: Sequence[Piece], rows: int) -> pa.Table:
        """The first rows of the pieces, as the job gets them: `rows` in all, as many of each."""

    def job(self, recipe: Recipe, code: Code) -> Callable[[pa.Table], pa.Table]: ...


@dataclass(frozen=True)
class SourceNow:
    """What the source holds, in the order in which it will be worked on."""

    found: Discovered
    format: str
    inspected: Inspected
    resolution: Resolution
    planned: list[PlannedObject]


@dataclass(frozen=True)
class TargetNow:
    """What the target holds: `files` are those that the plan replaces (TARGET_FILES), `live` their
    schema, `untouched` how many partitions stay as they are, `folders` all there are, `behind` how many
    paths do not show the newest version yet."""

    files: pa.Table
    live: pa.Schema | None
    untouched: int
    folders: pa.Array
    base_version: int
    behind: int


def make_plan(spec: BackfillSpec, parts: Parts, code: Code, as_of: str) -> Plan:
    """Look at everything, change nothing. The same spec, code, inputs, target and as-of time give
    the same plan. SpecError says what cannot work, before any of it is done."""
    template = PathTemplate.parse(spec.source.path, spec.source.timezone)
    scope = Scope(spec.scope, choose_column(spec.scope, template), spec.timezone)
    partitioning = Partitioning(spec.target.partition_by, spec.target.timezone, template)
    newest = parts.table.newest()
    listing = parts.table.listing()
    shown = parts.table.shown(newest, listing)
    source = _look_at_source(spec, parts, template, scope, shown)
    files = without_empty_files(listing, shown)
    behind = paths_behind(parts.table, newest, listing)
    base_version = newest.number if newest else 0
    target = _look_at_target(parts, spec, partitioning, scope, files, base_version, behind)
    recipe = Recipe(
        spec=spec,
        format=source.format,
        file_schema=source.resolution.schema,
        row_schema=_row_schema(source.resolution.schema, source.found.values.schema),
        output_schema=pa.schema([]),
        scope_column=scope.column,
        as_of=as_of,
        code_ref=code.ref,
        code_fingerprint=code.fingerprint,
        tables=parts.lookup_tables(),
    )
    recipe = replace(recipe, output_schema=_output(recipe, parts, code, source, target, partitioning))
    scope.mask(recipe.output_schema.empty_table())
    units = _units(recipe, parts, source.planned, target, partitioning)
    table = units_table(units)
    identity = plan_id(recipe, table, target.files, target.base_version)
    uri = PlanPaths(spec.state, spec.name, identity).root
    findings = _findings(spec, template, source, target, partitioning, scope, units)
    summary = summarize(identity, uri, recipe, findings)
    return Plan(identity, recipe, target.base_version, table, target.files, summary)


def _look_at_source(
    spec: BackfillSpec,
    parts: Parts,
    template: PathTemplate,
    scope: Scope,
    shown: Mapping[str, TableFile],
) -> SourceNow:
    """`shown`: what the target's paths hold of its newest version. Where the target is read, its empty
    files are no objects of the source."""
    types = {name: arrow_type(text) for name, text in spec.source.schema.items()}
    found = discover(parts.source_store, spec.source.uri, template, scope.with_margin(), types)
    empty = [parts.table.paths.file(path) for path, file in shown.items() if file.is_empty]
    if parts.source_store is parts.target_store and empty:
        found = found.without(empty)
    if found.objects.num_rows == 0:
        raise nothing_found(spec, found, parts.source_store)
    found = _in_order(found, spec.order)
    format = find_format(found.keys, spec.source.format)
    reader = parts.reader(format)
    bytes_max = unit_bytes_max(spec.limits.worker_memory)
    inspected = inspect(parts.source_store, reader, found.objects, bytes_max, scope.column)
    how = reader.combine([group.schema for group in inspected.groups])
    resolution = resolve(inspected.groups, how, types)
    _refuse_conflicts(resolution)
    partitions = partition_ids(found.values, found.objects.num_rows).to_pylist()
    refuse_bounds_within_a_piece(scope, template, resolution.schema)
    asked = narrowed(scope.with_margin(), resolution.schema)
    planned = list(plan_objects(found.objects, partitions, inspected, asked.may_contain))
    if not planned:
        raise SpecError(
            f"the scope is empty: no row group of {found.objects.num_rows} objects has rows in it",
            where="scope",
            next="widen start and end",
        )
    return SourceNow(found, format, inspected, resolution, planned)


def _in_order(found: Discovered, order: str) -> Discovered:
    """By path time, then by key; newest_first turns the times around, not the keys."""
    columns = {"key": found.objects["key"]}
    keys = [("key", "ascending")]
    if found.starts is not None:
        columns["start"] = found.starts
        keys.insert(0, ("start", "ascending" if order == "oldest_first" else "descending"))
    return found.take(pc.sort_indices(pa.table(columns), sort_keys=keys))


def _refuse_conflicts(resolution: Resolution) -> None:
    if not resolution.conflicts:
        return
    said = "; ".join(
        f"{c.column} is {c.one} in {c.one_example} and {c.other} in {c.other_example}"
        for c in resolution.conflicts
    )
    raise SpecError(
        f"columns change their type with no safe way between: {said}",
        where="source.schema",
        next=f"say the type: schema: {{{resolution.conflicts[0].column}: string}}",
    )


def _row_schema(files: pa.Schema, paths: pa.Schema) -> pa.Schema:
    """What the job gets: the files' columns, then the paths' that no file has."""
    return pa.schema([*files, *(field for field in paths if field.name not in files.names)])


def _look_at_target(
    parts: Parts,
    spec: BackfillSpec,
    partitioning: Partitioning,
    scope: Scope,
    files: pa.Table,
    base_version: int,
    behind: int,
) -> TargetNow:
    folders = pc.replace_substring_regex(files["path"], r"/?[^/]*$", "").combine_chunks()
    classes = partitioning.classify(folders, scope)
    foreign = files["path"].filter(pc.equal(classes, "foreign")).to_pylist()
    if foreign:
        raise SpecError(
            f"{len(foreign)} file(s) of the target do not lie as partition_by says: {named(foreign)}",
            where="target.partition_by",
            next="say how the table is laid out, or give another target.uri",
        )
    files = files.append_column("folder", folders).append_column("scope", classes)
    replaced = files.filter(pc.is_in(classes, pa.array(["inside", "partial"]))).cast(TARGET_FILES)
    live = None
    if replaced.num_rows:
        info = object_info(_as_objects(replaced.slice(0, 1), spec), 0)
        live = parts.target_reader().inspect(parts.target_store, info).schema
    untouched = pc.count_distinct(folders.filter(pc.equal(classes, "outside"))).as_py()
    return TargetNow(replaced, live, untouched, pc.unique(folders), base_version, behind)


def _as_objects(files: pa.Table, spec: BackfillSpec) -> pa.Table:
    """Files of the target (path, size, tag) as objects of its store."""
    keys = pc.binary_join_element_wise(key_of(spec.target.uri), files["path"], "/")
    return pa.table({"key": keys, "size": files["size"], "tag": files["tag"]})


def _output(
    recipe: Recipe,
    parts: Parts,
    code: Code,
    source: SourceNow,
    target: TargetNow,
    partitioning: Partitioning,
) -> pa.Schema:
    """Try the job on a sample: the schema of what it gives holds for every unit."""
    try:
        result = _tried(recipe, parts, code, source)
    except UnitError as error:
        # No unit failed yet, and no run is there to be resumed.
        raise SpecError(
            f"{error.message} (found on a sample, before any work)",
            where=error.where or "transform",
            next=error.next or "correct the job or its data, then plan again",
        ) from error
    overrides = {name: arrow_type(text) for name, text in recipe.spec.target.schema.items()}
    schema = output_schema(result.schema, overrides, target.live)
    try:
        align(result, schema)
    except ValueError as error:
        raise SpecError(
            f"the job's rows do not fit: {error}", where="target.schema", next="let the job give that type"
        ) from error
    partitioning.file_columns(schema)
    missing = sorted(set(recipe.spec.target.sort_by) - set(schema.names))
    if missing:
        raise SpecError(
            f"the job gives no column {missing[0]}",
            where="target.sort_by",
            next=f"it gives {', '.join(schema.names)}",
        )
    return schema


def _tried(recipe: Recipe, parts: Parts, code: Code, source: SourceNow) -> pa.Table:
    job = parts.job(recipe, code)
    if recipe.spec.transform.per == "partition":
        return job(parts.sample(recipe, code, _smallest_partition(source.planned), SAMPLE_PARTITION_ROWS))
    wanted = {source.found.objects["key"][index].as_py() for index in source.inspected.examples}
    chosen = [item.piece for item in source.planned if item.piece.key in wanted] or [source.planned[0].piece]
    sample = parts.sample(recipe, code, chosen[:SAMPLE_OBJECTS_MAX], SAMPLE_ROWS)
    return try_row_by_row(job, sample, recipe.code_ref)


def _smallest_partition(planned: Sequence[PlannedObject]) -> list[Piece]:
    sizes: dict[int, int] = {}
    for item in planned:
        sizes[item.partition] = sizes.get(item.partition, 0) + item.piece.decoded_bytes
    smallest = min(sizes, key=lambda partition: (sizes[partition], partition))
    return [item.piece for item in planned if item.partition == smallest]


def _units(
    recipe: Recipe,
    parts: Parts,
    planned: Sequence[PlannedObject],
    target: TargetNow,
    partitioning: Partitioning,
) -> list[Unit]:
    """Work units over the source, then carry units over partitions that are only partly in scope."""
    hashed = basis(recipe)
    bytes_max = unit_bytes_max(recipe.spec.limits.worker_memory)
    whole = recipe.spec.transform.per == "partition"
    units = list(plan_units(planned, basis=hashed, stage="work", whole_partitions=whole, bytes_max=bytes_max))
    carried = _carried_objects(recipe, parts, target, partitioning)
    return units + list(
        plan_units(
            carried,
            basis=hashed,
            stage="carry",
            whole_partitions=False,
            bytes_max=bytes_max,
            first_index=len(units),
        )
    )


def _carried_objects(
    recipe: Recipe, parts: Parts, target: TargetNow, partitioning: Partitioning
) -> list[PlannedObject]:
    """The target's files of partitions that are only partly in scope: their other rows are kept."""
    partial = target.files.filter(pc.equal(target.files["scope"], "partial"))
    if partial.num_rows == 0:
        return []
    objects = _as_objects(partial, recipe.spec)
    seen = inspect(parts.target_store, parts.target_reader(), objects, 0)
    columns = partitioning.file_columns(recipe.output_schema)
    for group in seen.groups:
        refuse_lost_columns(group.schema, columns, group.example)
    folders = partial["folder"].combine_chunks().dictionary_encode().indices.to_pylist()
    return list(plan_objects(objects, folders, seen))


def _findings(
    spec: BackfillSpec,
    template: PathTemplate,
    source: SourceNow,
    target: TargetNow,
    partitioning: Partitioning,
    scope: Scope,
    units: Sequence[Unit],
) -> Findings:
    found = source.found
    expected = expected_folders(partitioning, spec.target.partition_by, template, found.values)
    if expected is not None:
        # What is read beyond the scope, for its margin, promises no folders.
        within = pc.not_equal(partitioning.classify(expected, scope), "outside")
        expected = expected.filter(within)
    present = target.folders if expected is None else expected
    partitions = sorted({item.partition for item in source.planned})
    return Findings(
        objects=found.objects.num_rows,
        bytes=pc.sum(found.objects["size"]).as_py(),
        ignored=found.ignored,
        inspected=len(source.inspected.by_index),
        drift=source.resolution.drift,
        partitions=len(partitions),
        first=found.keys[0].as_py(),
        last=found.keys[-1].as_py(),
        missing=partitioning.missing(scope, present),
        expected=expected,
        target_folders=target.folders,
        target_files=target.files,
        untouched=target.untouched,
        base_version=target.base_version,
        behind=target.behind,
        live=target.live,
        units=units,
    )
