"""What the source holds: its objects, what their paths say, and what their footers or heads show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.layout import Layout
from raybackfill.control.planning.narrowing import narrowed, without_times
from raybackfill.control.planning.schemas import SchemaGroup
from raybackfill.control.planning.scope import Scope
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.control.planning.units import PlannedObject, RowGroup
from raybackfill.errors import SpecError
from raybackfill.model import Piece
from raybackfill.paths import key_of
from raybackfill.sources import Inspection, Source
from raybackfill.spec import BackfillSpec, arrow_type
from raybackfill.storage import LISTING, ObjectInfo, ObjectStore
from raybackfill.storage.listing import list_objects

FORMATS = {"parquet": "parquet", "pq": "parquet", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl",
           "csv": "csv"}  # fmt: skip
Bounds = tuple[int | None, int | None]
NAMED_MAX = 3
PARALLEL = 16
# Every object up to here is looked into; of more, this many evenly spread ones, and all that may be
# too large for a unit.
INSPECTED_MAX = 4096


@dataclass(frozen=True)
class Discovered:
    """The source's objects in scope: `objects` (LISTING), their keys below the root, what the paths
    say (`values`, a row an object), the path time's interval where it has one, and `ignored`: keys
    that fit no template."""

    objects: pa.Table
    keys: pa.Array
    values: pa.Table
    starts: pa.Array | None
    ends: pa.Array | None
    ignored: tuple[str, ...]
    listed: int

    def take(self, indices: pa.Array) -> Discovered:
        return Discovered(
            self.objects.take(indices),
            self.keys.take(indices),
            self.values.take(indices) if self.values.num_columns else self.values,
            None if self.starts is None else self.starts.take(indices),
            None if self.ends is None else self.ends.take(indices),
            self.ignored,
            self.listed,
        )

    def without(self, keys: Sequence[str]) -> Discovered:
        others = pc.invert(pc.is_in(self.objects["key"], pa.array(keys, pa.string())))
        return self.take(pc.indices_nonzero(others))


def discover(
    store: ObjectStore, uri: str, template: PathTemplate, scope: Scope, types: Mapping[str, pa.DataType]
) -> Discovered:
    """List the objects below `uri` and keep those that the template fits and the scope may need."""
    root = source_root(store, uri)
    # The path's time speaks for the scope only where it is the column that the scope is about.
    speaks = template.time_column is not None and template.time_column == scope.column
    bounds = (scope.start_us, scope.end_us) if speaks else (None, None)
    listing = _list(store, key_of(uri), root, template, bounds)
    keys = pc.utf8_slice_codeunits(listing["key"].combine_chunks(), len(root))
    match = template.match(keys)
    fits = match.fits
    strangers = keys.filter(pc.and_not(pc.invert(fits), match.skipped))
    found = Discovered(
        listing.append_column("fits", fits).filter(fits).drop_columns("fits"),
        keys.filter(fits),
        typed(match.values.filter(fits), types),
        None if match.starts is None else match.starts.filter(fits),
        None if match.ends is None else match.ends.filter(fits),
        tuple(strangers.to_pylist()),
        len(keys),
    )
    return found.take(pc.indices_nonzero(_may_be_in_scope(found, scope, bounds)))


def discover_source(store: ObjectStore, spec: BackfillSpec, layout: Layout) -> Discovered:
    """What a backfill reads, its margin included: one listing, no content."""
    scope = layout.scope.with_margin()
    return discover(store, spec.source.uri, layout.template, scope, source_types(spec))


def source_types(spec: BackfillSpec) -> dict[str, pa.DataType]:
    return {name: arrow_type(text) for name, text in spec.source.schema.items()}


def source_root(store: ObjectStore, uri: str) -> str:
    """What every key of the source begins with: `uri` may be a folder or one file."""
    key = key_of(uri)
    return key.rpartition("/")[0] + "/" if store.head(key) is not None else key + "/"


def _list(store: ObjectStore, key: str, root: str, template: PathTemplate, bounds: Bounds) -> pa.Table:
    if key + "/" != root:
        info = store.head(key)
        rows = [] if info is None else [{"key": key, "size": info.size, "tag": info.tag, "modified": None}]
        return pa.Table.from_pylist(rows, LISTING)

    def keep(folder: str) -> bool:
        return template.folder_may_match(folder[len(root) :], *bounds)

    return list_objects(store, root + template.literal_prefix, keep)


def _may_be_in_scope(found: Discovered, scope: Scope, time_bounds: Bounds) -> pa.Array:
    """By the path alone: the path time's interval, and the path's columns that the scope names."""
    keep = narrowed(without_times(scope), found.values.schema).mask(found.values)
    if not found.values.num_columns:
        keep = pa.repeat(True, found.objects.num_rows)
    start, end = time_bounds
    if found.starts is not None and end is not None:
        keep = pc.and_(keep, pc.fill_null(pc.less(found.starts, end), False))
    if found.ends is not None and start is not None:
        keep = pc.and_(keep, pc.fill_null(pc.greater(found.ends, start), False))
    return keep


def typed(values: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The paths' columns in the types that source.schema gives them. SpecError names what is not one."""
    for name in values.column_names:
        if name in types and values.schema.field(name).type != types[name]:
            index = values.column_names.index(name)
            try:
                values = values.set_column(index, name, values[name].cast(types[name]))
            except pa.ArrowInvalid as error:
                raise SpecError(
                    f"a path's {name} is not a {types[name]}: {error}", where=f"source.schema: {name}"
                ) from error
    return values


def partition_ids(values: pa.Table, objects: int) -> pa.Array:
    """A number for each set of path values: objects of one source partition have the same."""
    if values.num_columns == 0:
        return pa.repeat(0, objects)
    texts = [
        pc.fill_null(values[name].combine_chunks().cast(pa.string()), "\0") for name in values.column_names
    ]
    return pc.binary_join_element_wise(*texts, "\1").dictionary_encode().indices


def find_format(keys: pa.Array, wanted: str | None) -> str:
    """The objects' format: what the config says, else by their suffix. SpecError for mixed or unknown."""
    if wanted is not None:
        return wanted
    bare = pc.replace_substring_regex(keys, r"(?i)\.(gz|zst)$", "")
    ending = pc.struct_field(pc.extract_regex(bare, r"\.(?P<suffix>[^./]+)$"), "suffix")
    suffixes = pc.utf8_lower(pc.fill_null(ending, ""))
    found: dict[str, str] = {}
    for suffix in pc.unique(suffixes).to_pylist():
        example = keys[pc.index(suffixes, suffix).as_py()].as_py()
        if suffix not in FORMATS:
            raise SpecError(
                f"no format is known for the suffix .{suffix}" if suffix else "the name has no suffix",
                where=example,
                next="say source.format: parquet, jsonl or csv, or leave it out by source.path; "
                "orc and avro are not in this version",
            )
        found.setdefault(FORMATS[suffix], example)
    if len(found) > 1:
        mixed = ", ".join(f"{name} ({example})" for name, example in sorted(found.items()))
        raise SpecError(
            f"the source mixes formats: {mixed}", where="source.path", next="choose one by its suffix"
        )
    return next(iter(found))


@dataclass(frozen=True)
class Inspected:
    """What the objects showed, by their place in the listing; `groups` by schema, in key order."""

    by_index: Mapping[int, Inspection]
    groups: tuple[SchemaGroup, ...]
    examples: tuple[int, ...]


def inspect(
    store: ObjectStore, source: Source, objects: pa.Table, bytes_max: int, bounds_of: str | None = None
) -> Inspected:
    """Look into objects, many at a time. `bytes_max`: an object of this size or more always."""
    chosen = _chosen(objects, bytes_max)
    infos = [object_info(objects, index) for index in chosen]
    with ThreadPoolExecutor(PARALLEL) as pool:
        inspections = list(pool.map(lambda info: source.inspect(store, info, bounds_of), infos))
    groups: dict[pa.Schema, list[int]] = {}
    for index, inspection in zip(chosen, inspections, strict=True):
        groups.setdefault(inspection.schema, []).append(index)
    return Inspected(
        dict(zip(chosen, inspections, strict=True)),
        tuple(SchemaGroup(s, len(i), objects["key"][i[0]].as_py()) for s, i in groups.items()),
        tuple(indices[0] for indices in groups.values()),
    )


def _chosen(objects: pa.Table, bytes_max: int) -> list[int]:
    count = objects.num_rows
    if count <= INSPECTED_MAX:
        return list(range(count))
    spread = {place * count // INSPECTED_MAX for place in range(INSPECTED_MAX)}
    large = pc.indices_nonzero(pc.greater_equal(objects["size"], bytes_max)).to_pylist()
    return sorted(spread | set(large))


def object_info(objects: pa.Table, index: int) -> ObjectInfo:
    return ObjectInfo(*(objects[name][index].as_py() for name in ("key", "size", "tag")))


MayContain = Callable[[Any, Any], bool]


def plan_objects(
    objects: pa.Table,
    partitions: Sequence[int],
    inspected: Inspected,
    may_contain: MayContain = lambda smallest, largest: True,
) -> Iterator[PlannedObject]:
    """Each object as it will be read. What was not looked into is reckoned from what was.

    `may_contain` says of a row group's bounds whether it can hold rows in scope; the others are
    left out, and objects that have no other.
    """
    seen = inspected.by_index
    size_seen = sum(objects["size"][index].as_py() for index in seen)
    ratio = sum(one.decoded_bytes for one in seen.values()) / max(size_seen, 1)
    columns = (objects[name].to_pylist() for name in ("key", "size", "tag"))
    for index, (key, size, tag) in enumerate(zip(*columns, strict=True)):
        one = seen.get(index)
        if one is None:
            piece = Piece(key, size, tag, None, -1, int(size * ratio), size, partitions[index])
            yield PlannedObject(piece, ())
            continue
        groups = tuple(RowGroup(number, *group) for number, group in enumerate(one.row_groups))
        piece = Piece(key, size, tag, None, one.rows, one.decoded_bytes, size, partitions[index], len(groups))
        whole = PlannedObject(piece, groups)
        wanted = [number for number, bounds in enumerate(one.bounds) if may_contain(*bounds)]
        if len(wanted) == len(one.bounds):
            yield whole
        elif wanted:
            yield whole.only(wanted)


def named(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:NAMED_MAX])
    return shown if len(keys) <= NAMED_MAX else f"{shown} and {len(keys) - NAMED_MAX} more"
