"""Decides in what two plans differ: what was asked, the job's code, the inputs, and the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.plan import PIECE, Plan, Recipe
from raybackfill.spec import BackfillSpec, spec_document

EXAMPLES_MAX = 3
_MOMENT = {"instant", "text", "is_date"}


@dataclass(frozen=True)
class Names:
    """Some things by name: how many there are, and the first few."""

    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Changes:
    """What became of things that have names: they are other than before, new, or gone."""

    changed: Names = Names()
    new: Names = Names()
    gone: Names = Names()

    def __bool__(self) -> bool:
        return bool(self.changed.count or self.new.count or self.gone.count)


@dataclass(frozen=True)
class Value:
    """Something that has a value, which is another one now; None where there is none."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Difference:
    """In what one plan differs from another; False where in nothing.

    `spec` by key, `code` by module, `columns` of the source's rows and of the output; `inputs` are the
    objects that are read, by key, `target` the files that are replaced, by path below the target.
    """

    spec: tuple[Value, ...] = ()
    code: Changes = Changes()
    columns: tuple[Value, ...] = ()
    inputs: Changes = Changes()
    target: Changes = Changes()
    base_version: Value | None = None
    as_of: Value | None = None

    def __bool__(self) -> bool:
        found = (self.spec, self.code, self.columns, self.inputs, self.target, self.base_version, self.as_of)
        return any(map(bool, found))


Modules = Mapping[str, str]
"""The modules of a job's code: path below the project's root -> hash of the content."""


def difference_of_requests(
    recipe: Recipe, modules: Modules, spec: BackfillSpec, modules_now: Modules
) -> Difference:
    """How what is asked now differs from what a plan was made for. Data is not looked at."""
    return Difference(spec=_of_specs(recipe.spec, spec), code=_of_modules(modules, modules_now))


def difference_of_plans(before: Plan, modules: Modules, after: Plan, modules_after: Modules) -> Difference:
    old, new = before.recipe, after.recipe
    asked = difference_of_requests(old, modules, new.spec, modules_after)
    return Difference(
        spec=asked.spec,
        code=asked.code,
        columns=(
            *_of_columns("source", old.row_schema, new.row_schema),
            *_of_columns("target", old.output_schema, new.output_schema),
        ),
        inputs=changes(pinned_objects(before), pinned_objects(after), "key"),
        target=changes(before.target_files, after.target_files, "path"),
        base_version=_of_values("base_version", before.base_version, after.base_version),
        as_of=_of_values("as_of", old.as_of, new.as_of),
    )


def pinned_objects(plan: Plan) -> pa.Table:
    """The objects that the plan reads (key, size, tag), each once, in order: of the source, then of the
    tables for joins. What is carried over is the target's."""
    units = plan.units_table
    pieces = pc.list_flatten(units["pieces"].filter(pc.equal(units["stage"], "work"))).combine_chunks()
    source = pa.table({name: pc.struct_field(pieces, name) for name in ("key", "size", "tag")})
    joined = [piece for table in plan.recipe.tables.values() for piece in table.pieces]
    rows = [{name: getattr(piece, name) for name in source.column_names} for piece in joined]
    tables = pa.Table.from_pylist(rows, pa.schema([PIECE.field(name) for name in source.column_names]))
    # An object that several units read is pinned once.
    return pa.concat_tables([source, tables]).group_by(source.column_names).aggregate([]).sort_by("key")


def changes(before: pa.Table, after: pa.Table, name: str) -> Changes:
    """How the things in two tables (`name`, size, tag) differ: by tag and size."""
    old, new = before[name].combine_chunks(), after[name].combine_chunks()
    place = pc.index_in(old, value_set=new)
    still = pc.is_valid(place)
    there, its = before.filter(still), after.take(place.drop_null())
    other = pc.or_(pc.not_equal(there["tag"], its["tag"]), pc.not_equal(there["size"], its["size"]))
    return Changes(
        changed=_names(there[name].filter(other)),
        new=_names(new.filter(pc.invert(pc.is_in(new, value_set=old)))),
        gone=_names(old.filter(pc.invert(still))),
    )


def _names(found: pa.Array | pa.ChunkedArray) -> Names:
    first = found.take(pc.sort_indices(found)[:EXAMPLES_MAX])
    return Names(len(found), tuple(first.to_pylist()))


def _of_specs(before: BackfillSpec, after: BackfillSpec) -> tuple[Value, ...]:
    old, new = dict(_flat(spec_document(before))), dict(_flat(spec_document(after)))
    names = sorted(old.keys() | new.keys())
    return tuple(Value(n, old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n))


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted key. A time is what was written: its zone is a key of its own."""
    if isinstance(value, Mapping) and set(value) == _MOMENT:
        yield prefix, value["text"]
    elif isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, value


def _of_modules(before: Modules, after: Modules) -> Changes:
    def names(found: set[str]) -> Names:
        return Names(len(found), tuple(sorted(found)[:EXAMPLES_MAX]))

    both = before.keys() & after.keys()
    return Changes(
        changed=names({name for name in both if before[name] != after[name]}),
        new=names(set(after.keys() - both)),
        gone=names(set(before.keys() - both)),
    )


def _of_columns(where: str, before: pa.Schema, after: pa.Schema) -> Iterator[Value]:
    old, new = ({field.name: str(field.type) for field in schema} for schema in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name) != new.get(name):
            yield Value(f"{where}.{name}", old.get(name), new.get(name))


def _of_values(name: str, before: Any, after: Any) -> Value | None:
    return None if before == after else Value(name, before, after)
