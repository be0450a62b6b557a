"""Hop 1, plan: looks at source and target, and puts together the plan that a run will carry out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.code import Code
from raybackfill.control.planning.aligning import align
from raybackfill.control.planning.expectation import expected_folders
from raybackfill.control.planning.identity.keeping import units_again
from raybackfill.control.planning.layout import Layout
from raybackfill.control.planning.narrowing import narrowed, refuse_bounds_within_a_piece
from raybackfill.control.planning.plan import Plan, Recipe, basis, plan_id, units_table
from raybackfill.control.planning.schemas import Resolution, resolve
from raybackfill.control.planning.summary import Findings, summarize
from raybackfill.control.planning.trial import output_schema, try_row_by_row
from raybackfill.control.planning.units import PlannedObject, plan_units, unit_bytes_max
from raybackfill.errors import SpecError, UnitError
from raybackfill.model import Piece, Unit
from raybackfill.paths import PlanPaths, key_of
from raybackfill.planning import Parts
from raybackfill.planning.discovery import (
    Discovered,
    Inspected,
    find_format,
    inspect,
    named,
    partition_ids,
    plan_objects,
    source_types,
)
from raybackfill.planning.target import (
    TableNow,
    TargetNow,
    carried_objects,
    look_at_target,
    source_objects,
    table_now,
)
from raybackfill.spec import BackfillSpec, arrow_type
from raybackfill.storage import ObjectStore

SAMPLE_ROWS = 2_000
SAMPLE_OBJECTS_MAX = 8
# A whole partition where it is not larger: what such a job gives may depend on all rows.
SAMPLE_PARTITION_ROWS = 200_000


@dataclass(frozen=True)
class SourceNow:
    """What the source holds, in the order in which it will be worked on."""

    found: Discovered
    format: str
    inspected: Inspected
    resolution: Resolution
    planned: list[PlannedObject]


def make_plan(spec: BackfillSpec, parts: Parts, code: Code, as_of: str, before: Plan | None = None) -> Plan:
    """Look at everything, change nothing. The same spec, code, inputs, target and as-of time give
    the same plan. SpecError says what cannot work, before any of it is done.

    `before`: a plan of the same request, whose units stay where nothing that they read changed.
    """
    layout = Layout.of(spec)
    now = table_now(parts.table)
    source = _look_at_source(spec, parts, layout, now)
    target = look_at_target(parts, spec, layout, now)
    recipe = Recipe(
        spec=spec,
        format=source.format,
        file_schema=source.resolution.schema,
        row_schema=_row_schema(source.resolution.schema, source.found.values.schema),
        output_schema=pa.schema([]),
        scope_column=layout.scope.column,
        as_of=as_of,
        code_ref=code.ref,
        code_fingerprint=code.fingerprint,
        tables=parts.lookup_tables(),
    )
    if before is not None and replace(recipe, output_schema=before.recipe.output_schema) == before.recipe:
        # Columns that every unit was promised to fit do not change with a few objects.
        recipe = before.recipe
    else:
        recipe = replace(recipe, output_schema=_output(recipe, parts, code, source, target, layout))
    if spec.target.mode == "replace" or layout.scope.can_judge(recipe.output_schema):
        layout.scope.mask(recipe.output_schema.empty_table())
    units = _units(recipe, parts, source.planned, target, layout, before)
    table = units_table(units)
    identity = plan_id(recipe, table, target.files, target.base_version)
    uri = PlanPaths(spec.state, spec.name, identity).root
    findings = _findings(spec, source, target, layout, units)
    summary = summarize(identity, uri, recipe, findings)
    return Plan(identity, recipe, target.base_version, table, target.files, summary)


def _look_at_source(spec: BackfillSpec, parts: Parts, layout: Layout, now: TableNow) -> SourceNow:
    scope = layout.scope
    found = source_objects(spec, parts, layout, now)
    if found.objects.num_rows == 0:
        raise _nothing_found(spec, found, parts.source_store)
    found = _in_order(found, spec.order)
    format = find_format(found.keys, spec.source.format)
    reader = parts.reader(format)
    bytes_max = unit_bytes_max(spec.limits.worker_memory)
    inspected = inspect(parts.source_store, reader, found.objects, bytes_max, scope.column)
    how = reader.combine([group.schema for group in inspected.groups])
    resolution = resolve(inspected.groups, how, source_types(spec))
    _refuse_conflicts(resolution)
    partitions = partition_ids(found.values, found.objects.num_rows).to_pylist()
    refuse_bounds_within_a_piece(scope, layout.template, resolution.schema)
    asked = narrowed(scope.with_margin(), resolution.schema)
    planned = list(plan_objects(found.objects, partitions, inspected, asked.may_contain))
    if not planned:
        raise SpecError(
            f"the scope is empty: no row group of {found.objects.num_rows} objects has rows in it",
            where="scope",
            next="widen start and end",
        )
    return SourceNow(found, format, inspected, resolution, planned)


def _nothing_found(spec: BackfillSpec, found: Discovered, store: ObjectStore) -> SpecError:
    # Folders out of scope are not listed at all, so an empty listing need not be an empty source.
    if found.listed == 0 and not _lies_anything(store, key_of(spec.source.uri)):
        return SpecError("nothing lies there", where=f"source.uri: {spec.source.uri}", next="check the URI")
    if found.ignored:
        return SpecError(
            f"none of {found.listed} objects fits {spec.source.path!r} and the scope; {named(found.ignored)} "
            "do not fit the template",
            where="source.path",
            next="write the template of the key below source.uri, file name included",
        )
    if found.listed == 0:
        return SpecError(
            f"nothing below {spec.source.uri} lies in the scope and fits {spec.source.path!r}",
            where="scope",
            next="widen start and end, or correct source.path",
        )
    return SpecError(
        f"the scope is empty: none of {found.listed} objects lies in it",
        where="scope",
        next="widen start and end, or look at include and exclude",
    )


def _lies_anything(store: ObjectStore, key: str) -> bool:
    page = store.page(key + "/", folders=True)
    return bool(page.objects.num_rows or page.folders)


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


def _output(
    recipe: Recipe,
    parts: Parts,
    code: Code,
    source: SourceNow,
    target: TargetNow,
    layout: Layout,
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
    layout.partitioning.file_columns(schema)
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
    layout: Layout,
    before: Plan | None,
) -> list[Unit]:
    """Work units over the source, then carry units over partitions that are only partly in scope."""
    cut = plan_units if before is None else partial(units_again, list(before.units()))
    hashed = basis(recipe)
    bytes_max = unit_bytes_max(recipe.spec.limits.worker_memory)
    whole = recipe.spec.transform.per == "partition"
    units = list(cut(planned, basis=hashed, stage="work", whole_partitions=whole, bytes_max=bytes_max))
    carried = carried_objects(recipe, parts, target, layout)
    return units + list(
        cut(
            carried,
            basis=hashed,
            stage="carry",
            whole_partitions=False,
            bytes_max=bytes_max,
            first_index=len(units),
        )
    )


def _findings(
    spec: BackfillSpec,
    source: SourceNow,
    target: TargetNow,
    layout: Layout,
    units: Sequence[Unit],
) -> Findings:
    found, partitioning, scope = source.found, layout.partitioning, layout.scope
    expected = expected_folders(partitioning, spec.target.partition_by, layout.template, found.values)
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
