"""The plan: immutable data that says all that a run will do, under an ID that is its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from raybackfill.model import Piece, Unit
from raybackfill.spec import BackfillSpec, spec_document, spec_from_document

FORMAT = "plan/1"
UNITS_AT_ONCE = 200

PIECE = pa.struct(
    [
        pa.field("key", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("tag", pa.string()),
        pa.field("row_groups", pa.list_(pa.int32())),
        pa.field("rows", pa.int64()),
        pa.field("decoded_bytes", pa.int64()),
        pa.field("read_bytes", pa.int64()),
        pa.field("partition", pa.int64()),
        pa.field("row_group_count", pa.int32()),
    ]
)
UNITS = pa.schema(
    [
        pa.field("unit", pa.string()),
        pa.field("index", pa.int64()),
        pa.field("stage", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("decoded_bytes", pa.int64()),
        pa.field("partitions", pa.list_(pa.int64())),
        pa.field("pieces", pa.list_(PIECE)),
    ]
)
TARGET_FILES = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("tag", pa.string()),
        pa.field("folder", pa.string()),
        pa.field("scope", pa.string()),
        pa.field("rows", pa.int64()),
    ]
)
"""The target's files that the plan replaces, as it saw them; scope is "inside" or "partial"; rows are null
where nobody counted them."""


@dataclass(frozen=True)
class LookupTable:
    """A small table for joins, pinned."""

    format: str
    pieces: tuple[Piece, ...]
    schema: pa.Schema


@dataclass(frozen=True)
class Recipe:
    """All that a worker needs beside its unit; it goes to each worker once.

    `file_schema`: columns of the source's files; `row_schema`: these and the paths' own, what the
    job gets; `output_schema`: what it gives, and what every unit must fit.
    """

    spec: BackfillSpec
    format: str
    file_schema: pa.Schema
    row_schema: pa.Schema
    output_schema: pa.Schema
    scope_column: str | None
    as_of: str
    code_ref: str
    code_fingerprint: str
    tables: Mapping[str, LookupTable] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """`summary` is what `--json` shows. Units and pinned files are Arrow data."""

    id: str
    recipe: Recipe
    base_version: int
    units_table: pa.Table
    target_files: pa.Table
    summary: Mapping[str, Any]

    def units(self) -> Iterator[Unit]:
        """The units in plan order."""
        return read_units(self.units_table)

    def to_json(self) -> dict[str, Any]:
        return dict(self.summary)


def units_table(units: Sequence[Unit]) -> pa.Table:
    """The units as Arrow data (UNITS)."""
    # A few units at a time: as Python dicts, a million pieces would be a gigabyte.
    parts = [units[start : start + UNITS_AT_ONCE] for start in range(0, len(units), UNITS_AT_ONCE)]
    batches = [pa.RecordBatch.from_pylist([_unit_row(unit) for unit in part], UNITS) for part in parts]
    return pa.Table.from_batches(batches, UNITS)


def _unit_row(unit: Unit) -> dict[str, Any]:
    # Rows that a carry unit keeps are the target's: they belong to no partition of the source.
    touched = {piece.partition for piece in unit.pieces} if unit.stage == "work" else set()
    return {
        "unit": unit.id,
        "index": unit.index,
        "stage": unit.stage,
        "rows": sum(piece.rows for piece in unit.pieces) if _rows_known(unit) else -1,
        "decoded_bytes": unit.decoded_bytes,
        "partitions": sorted(touched),
        "pieces": [{name: getattr(piece, name) for name in PIECE.names} for piece in unit.pieces],
    }


def _rows_known(unit: Unit) -> bool:
    return all(piece.rows >= 0 for piece in unit.pieces)


def read_units(table: pa.Table) -> Iterator[Unit]:
    for batch in table.to_batches(max_chunksize=UNITS_AT_ONCE):
        for row in batch.to_pylist():
            yield Unit(row["unit"], row["index"], row["stage"], tuple(map(read_piece, row["pieces"])))


def read_piece(row: Mapping[str, Any]) -> Piece:
    groups = row["row_groups"]
    return Piece(**{**row, "row_groups": None if groups is None else tuple(groups)})


def basis(recipe: Recipe) -> str:
    """The hash (hex) of what is asked, before the inputs: spec, code, schemas and as-of time."""
    content = json.dumps(recipe_document(recipe), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def plan_id(recipe: Recipe, units: pa.Table, target_files: pa.Table, base_version: int) -> str:
    """12 hex digits of the hash of the whole plan: the same spec, code, inputs and as-of time over
    the same table give the same ID."""
    digest = hashlib.sha256(f"{FORMAT}\0{basis(recipe)}\0{base_version}".encode())
    for unit in units["unit"].to_pylist():
        digest.update(unit.encode())
    for row in target_files.select(["path", "size", "tag"]).to_pylist():
        digest.update(f"\0{row['path']}\0{row['size']}\0{row['tag']}".encode())
    return digest.hexdigest()[:12]


def recipe_document(recipe: Recipe) -> dict[str, Any]:
    return {
        "spec": spec_document(recipe.spec),
        "source_format": recipe.format,
        "file_schema": _schema_text(recipe.file_schema),
        "row_schema": _schema_text(recipe.row_schema),
        "output_schema": _schema_text(recipe.output_schema),
        "scope_column": recipe.scope_column,
        "as_of": recipe.as_of,
        "code_ref": recipe.code_ref,
        "code_fingerprint": recipe.code_fingerprint,
        "tables": {name: _table_document(table) for name, table in recipe.tables.items()},
    }


def recipe_from_document(value: Mapping[str, Any]) -> Recipe:
    return Recipe(
        spec=spec_from_document(value["spec"]),
        format=value["source_format"],
        file_schema=_schema_from_text(value["file_schema"]),
        row_schema=_schema_from_text(value["row_schema"]),
        output_schema=_schema_from_text(value["output_schema"]),
        scope_column=value["scope_column"],
        as_of=value["as_of"],
        code_ref=value["code_ref"],
        code_fingerprint=value["code_fingerprint"],
        tables={name: _table_from_document(table) for name, table in value["tables"].items()},
    )


def _table_document(table: LookupTable) -> dict[str, Any]:
    return {
        "format": table.format,
        "schema": _schema_text(table.schema),
        "pieces": [{name: getattr(piece, name) for name in PIECE.names} for piece in table.pieces],
    }


def _table_from_document(value: Mapping[str, Any]) -> LookupTable:
    pieces = tuple(read_piece(piece) for piece in value["pieces"])
    return LookupTable(value["format"], pieces, _schema_from_text(value["schema"]))


def _schema_text(schema: pa.Schema) -> str:
    """Arrow's own serialisation, which holds every type exactly."""
    text: str = schema.remove_metadata().serialize().to_pybytes().hex()
    return text


def _schema_from_text(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(text)))
