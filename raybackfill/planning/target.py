"""What the target holds: the files that a plan replaces, and what is carried over of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.layout import Layout
from raybackfill.control.planning.plan import TARGET_FILES, Recipe
from raybackfill.control.planning.trial import refuse_lost_columns
from raybackfill.control.planning.units import PlannedObject
from raybackfill.errors import SpecError
from raybackfill.model import TableFile
from raybackfill.paths import key_of
from raybackfill.planning import Parts
from raybackfill.planning.discovery import (
    Discovered,
    discover_source,
    inspect,
    named,
    object_info,
    plan_objects,
)
from raybackfill.spec import BackfillSpec
from raybackfill.storage.parallel import in_parallel
from raybackfill.table import Table, without_empty_files
from raybackfill.table.view import paths_behind


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


@dataclass(frozen=True)
class TableNow:
    """What lies under the target: `files` (path, size, tag) without empty files of ours, which are
    nobody's rows; `shown`: path -> the file of the newest version (`number`) that is there; `behind`: how
    many paths do not show it yet."""

    number: int
    files: pa.Table
    shown: Mapping[str, TableFile]
    behind: int


def table_now(table: Table) -> TableNow:
    newest, listing = table.newest(), table.listing()
    shown = table.shown(newest, listing)
    behind = paths_behind(table, newest, listing)
    return TableNow(newest.number if newest else 0, without_empty_files(listing, shown), shown, behind)


def source_objects(spec: BackfillSpec, parts: Parts, layout: Layout, now: TableNow) -> Discovered:
    """What the backfill reads. Where that is the target, its empty files are no objects of the source."""
    found = discover_source(parts.source_store, spec, layout)
    empty = [parts.table.paths.file(path) for path, file in now.shown.items() if file.is_empty]
    return found.without(empty) if parts.source_store is parts.target_store and empty else found


def look_at_target(parts: Parts, spec: BackfillSpec, layout: Layout, now: TableNow) -> TargetNow:
    files = classified_files(now.files, layout)
    replaced = replaced_files(files, spec)
    if spec.shrink < 1:
        replaced = _with_rows(replaced, now.shown, parts, spec)
    live = None
    # What is added must fit any file that is there, and not only those in scope.
    first = (files if spec.target.mode == "append" else replaced).slice(0, 1)
    if first.num_rows:
        info = object_info(_as_objects(first, spec), 0)
        live = parts.target_reader().inspect(parts.target_store, info).schema
    folders = files["folder"].combine_chunks()
    untouched = pc.count_distinct(folders.filter(pc.equal(files["scope"], "outside"))).as_py()
    return TargetNow(replaced, live, untouched, pc.unique(folders), now.number, now.behind)


def _with_rows(files: pa.Table, shown: Mapping[str, TableFile], parts: Parts, spec: BackfillSpec) -> pa.Table:
    """With how many rows each file has: the newest version knows it of those that a run wrote, of the
    others their footers do. A broken file may well be what is to be replaced: its rows are null."""
    paths = files["path"].to_pylist()
    rows: list[int | None] = [shown[path].rows if path in shown else -1 for path in paths]
    unknown = [index for index, count in enumerate(rows) if count == -1]
    objects = _as_objects(files, spec)

    def count(index: int) -> int | None:
        try:
            return parts.target_reader().inspect(parts.target_store, object_info(objects, index)).rows
        except SpecError:
            return None

    for index, counted in zip(unknown, in_parallel(count, unknown), strict=True):
        rows[index] = counted
    column = files.column_names.index("rows")
    return files.set_column(column, TARGET_FILES.field("rows"), pa.array(rows, pa.int64()))


def classified_files(files: pa.Table, layout: Layout) -> pa.Table:
    """The target's files, with the folder of each and whether that is in scope. SpecError for one that
    does not lie as partition_by says."""
    folders = pc.replace_substring_regex(files["path"], r"/?[^/]*$", "").combine_chunks()
    classes = layout.partitioning.classify(folders, layout.scope)
    foreign = files["path"].filter(pc.equal(classes, "foreign")).to_pylist()
    if foreign:
        raise SpecError(
            f"{len(foreign)} file(s) of the target do not lie as partition_by says: {named(foreign)}",
            where="target.partition_by",
            next="say how the table is laid out, or give another target.uri",
        )
    return files.append_column("folder", folders).append_column("scope", classes)


def replaced_files(files: pa.Table, spec: BackfillSpec) -> pa.Table:
    """Those that a plan replaces (TARGET_FILES, rows not counted), of `classified_files`."""
    kinds = [] if spec.target.mode == "append" else ["inside", "partial"]
    found = files.filter(pc.is_in(files["scope"], pa.array(kinds, pa.string())))
    return found.append_column("rows", pa.nulls(found.num_rows, pa.int64())).cast(TARGET_FILES)


def carried_objects(recipe: Recipe, parts: Parts, target: TargetNow, layout: Layout) -> list[PlannedObject]:
    """The target's files of partitions that are only partly in scope: their other rows are kept."""
    partial = target.files.filter(pc.equal(target.files["scope"], "partial"))
    if partial.num_rows == 0:
        return []
    objects = _as_objects(partial, recipe.spec)
    seen = inspect(parts.target_store, parts.target_reader(), objects, 0)
    columns = layout.partitioning.file_columns(recipe.output_schema)
    for group in seen.groups:
        refuse_lost_columns(group.schema, columns, group.example)
    folders = partial["folder"].combine_chunks().dictionary_encode().indices.to_pylist()
    return list(plan_objects(objects, folders, seen))


def _as_objects(files: pa.Table, spec: BackfillSpec) -> pa.Table:
    """Files of the target (path, size, tag) as objects of its store."""
    keys = pc.binary_join_element_wise(key_of(spec.target.uri), files["path"], "/")
    return pa.table({"key": keys, "size": files["size"], "tag": files["tag"]})
