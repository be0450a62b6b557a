"""Decides the one schema in which all objects of a source are read, and says where they differ.

The rules, column by column (columns are told apart by their exact names):

- A column that some objects lack is null there. A column of Arrow's null type (an object that
  shows no value) takes the type that the others show.
- Integers widen to the smallest type that holds both (int32 and uint32 give int64; uint64 and a
  signed type conflict). float32 and float64 give float64. Integers of up to 32 bits and floats
  give float64, which holds them exactly; 64-bit integers and floats conflict.
- Decimals widen to the digits that both need, within 38, or within 76 where one has 256 bits.
- Timestamps, times and durations take the finer unit. Two zones: the first one's, the instants are
  the same. With a zone and without: conflict. A date and a timestamp: conflict.
- string, large_string, string_view and dictionaries of them give string; binary likewise.
- Lists, maps and structs go by their parts; a field that one struct lacks is null there.
- Everything else that differs is a conflict: the first type stands, and the plan must be refused.
- "text" (the objects are text, their types were only guessed): whole numbers and doubles give
  double, as they do within one object; what else does not fit together is the text it is.
- An override settles its column. Order: the first object's, then added ones as they first appear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
from pyarrow import types as kinds

from raybackfill.control.arrow import widening
from raybackfill.control.planning.aligning import align

__all__ = ["Conflict", "Drift", "Resolution", "SchemaGroup", "align", "canonical_output", "resolve"]

DriftKind = Literal["added", "missing", "null_typed", "widened", "reordered", "text"]


@dataclass(frozen=True, slots=True)
class SchemaGroup:
    """The objects that show one and the same schema: how many, and the key of one of them."""

    schema: pa.Schema
    objects: int
    example: str


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference that was brought together: which column, how, in how many objects, and one key.

    `added` counts the objects that have a column that the first lacks; `missing` those that lack
    one of the first's; `null_typed`, `widened` and `text` those that show another type than the
    resolved one; `reordered` those with another order, named by its first column out of place.
    """

    column: str
    kind: DriftKind
    objects: int
    example: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two types of one column that no type holds both, each with the key of an object that shows it."""

    column: str
    one: str
    one_example: str
    other: str
    other_example: str

    def __str__(self) -> str:
        return (
            f"column {self.column} is {self.one} in {self.one_example} and {self.other} in "
            f"{self.other_example}; say which with source.schema: {{{self.column}: ...}}"
        )


@dataclass(frozen=True, slots=True)
class Resolution:
    """The schema of all objects, what was brought together, and what could not be."""

    schema: pa.Schema
    drift: tuple[Drift, ...]
    conflicts: tuple[Conflict, ...]


def resolve(
    groups: Sequence[SchemaGroup], how: Literal["typed", "text"], overrides: Mapping[str, pa.DataType]
) -> Resolution:
    """Bring the groups' schemas together by the rules above. The first group is the first object's.

    Columns of `overrides` that no object has are not added. No groups give an empty schema.
    """
    names = list(dict.fromkeys(name for group in groups for name in group.schema.names))
    fields, drift, conflicts = [], [], []
    for name in names:
        sides = [(group, group.schema.field(name)) for group in groups if name in group.schema.names]
        kind, conflict = _column(name, sides, how, overrides)
        nullable = len(sides) < len(groups) or any(field.nullable for _, field in sides)
        fields.append(pa.field(name, kind, nullable))
        conflicts += [conflict] if conflict else []
        drift += _drift(name, kind, groups, how)
    drift += _reordered(names, groups)
    return Resolution(pa.schema(fields), tuple(drift), tuple(conflicts))


def canonical_output(schema: pa.Schema) -> pa.Schema:
    """How an output schema is held, so that every frame and reader knows its types: string for all
    texts, binary for all bytes, list for all lists, and the values themselves for dictionaries,
    run-end encodings and extensions; nested ones too. Metadata is dropped."""
    return pa.schema([pa.field(f.name, widening.canonical(f.type), f.nullable) for f in schema])


def _column(
    name: str,
    sides: Sequence[tuple[SchemaGroup, pa.Field]],
    how: Literal["typed", "text"],
    overrides: Mapping[str, pa.DataType],
) -> tuple[pa.DataType, Conflict | None]:
    if name in overrides:
        return overrides[name], None
    first, field = sides[0]
    kind: pa.DataType = field.type
    for group, other in sides[1:]:
        merged = _merge(kind, other.type, how)
        if merged is None:
            return kind, Conflict(name, str(kind), first.example, str(other.type), group.example)
        if kinds.is_null(kind):
            first = group
        kind = merged
    return kind, None


def _merge(one: pa.DataType, other: pa.DataType, how: Literal["typed", "text"]) -> pa.DataType | None:
    merged = widening.merge(one, other)
    if merged is not None or how == "typed":
        return merged
    # The values are read from their text one by one, and a whole number that a double cannot
    # carry is refused then; so the same rule holds between objects as within one.
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    return pa.string()


def _drift(
    name: str, kind: pa.DataType, groups: Sequence[SchemaGroup], how: Literal["typed", "text"]
) -> list[Drift]:
    in_first = name in groups[0].schema.names
    found: dict[DriftKind, list[SchemaGroup]] = {}
    for group in groups:
        for difference in _differences(name, kind, group, in_first, how):
            found.setdefault(difference, []).append(group)
    return [
        Drift(name, difference, sum(group.objects for group in members), members[0].example)
        for difference, members in found.items()
    ]


def _differences(
    name: str, kind: pa.DataType, group: SchemaGroup, in_first: bool, how: Literal["typed", "text"]
) -> list[DriftKind]:
    if name not in group.schema.names:
        return ["missing"] if in_first else []
    found: list[DriftKind] = [] if in_first else ["added"]
    own = group.schema.field(name).type
    if own.equals(kind):
        return found
    if kinds.is_null(own):
        return [*found, "null_typed"]
    return [*found, "text" if how == "text" and widening.is_text(kind) else "widened"]


def _reordered(names: Sequence[str], groups: Sequence[SchemaGroup]) -> list[Drift]:
    found: dict[str, list[SchemaGroup]] = {}
    for group in groups:
        own = group.schema.names
        present = set(own)
        expected = [name for name in names if name in present]
        moved = [name for name, here in zip(expected, own, strict=True) if name != here]
        if moved:
            found.setdefault(moved[0], []).append(group)
    return [
        Drift(name, "reordered", sum(group.objects for group in members), members[0].example)
        for name, members in found.items()
    ]
