"""Decides what a plan says of itself: the document behind `plan --json` and the printed summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.partitioning import Missing
from raybackfill.control.planning.plan import FORMAT, Recipe
from raybackfill.control.planning.schemas import Drift
from raybackfill.control.planning.units import WORKER_BASE_BYTES, WORKER_COPIES
from raybackfill.model import Unit

IGNORED_NAMED_MAX = 5


@dataclass(frozen=True)
class Findings:
    """What the planner found. `ignored`: keys that fit no template; `partitions`: how many the source
    has, between `first` and `last` key; `expected`: the folders that the paths promise, None where
    they do not tell; `target_files` as pinned; `behind`: how many paths do not show the newest version
    yet; `live`: the table's schema."""

    objects: int
    bytes: int
    ignored: Sequence[str]
    inspected: int
    drift: Sequence[Drift]
    partitions: int
    first: str | None
    last: str | None
    missing: Missing | None
    expected: pa.Array | None
    target_folders: pa.Array
    target_files: pa.Table
    untouched: int
    base_version: int
    behind: int
    live: pa.Schema | None
    units: Sequence[Unit]


def summarize(plan_id: str, plan_uri: str, recipe: Recipe, found: Findings) -> dict[str, Any]:
    spec = recipe.spec
    work = [unit for unit in found.units if unit.stage == "work"]
    rows, exact = _rows(work)
    return {
        "format": FORMAT,
        "plan_id": plan_id,
        "plan_uri": plan_uri,
        "backfill": spec.name,
        "as_of": recipe.as_of,
        "timezone": spec.timezone,
        "scope": _scope(recipe),
        "code": {
            "ref": recipe.code_ref,
            "version": spec.transform.version,
            "fingerprint": recipe.code_fingerprint,
        },
        "source": {
            "uri": spec.source.uri,
            "format": recipe.format,
            "objects": found.objects,
            "objects_inspected": found.inspected,
            "bytes": found.bytes,
            "decoded_bytes": sum(unit.decoded_bytes for unit in work),
            "rows": rows,
            "rows_exact": exact,
            "ignored_objects": len(found.ignored),
            "ignored_examples": list(found.ignored[:IGNORED_NAMED_MAX]),
            "schema": _columns(recipe.row_schema),
        },
        "drift": [
            {"column": d.column, "kind": d.kind, "objects": d.objects, "example": d.example}
            for d in found.drift
        ],
        "target": {
            "uri": spec.target.uri,
            "mode": spec.target.mode,
            "schema": _columns(recipe.output_schema),
            "differences": _differences(recipe.output_schema, found.live, _folder_columns(recipe)),
            "base_version": found.base_version,
            "paths_behind": found.behind,
            **_target_partitions(found, appends=spec.target.mode == "append"),
        },
        "partitions": {
            "count": found.partitions,
            "first": found.first,
            "last": found.last,
            "missing": None if found.missing is None else found.missing.count,
            "missing_examples": [] if found.missing is None else list(found.missing.first),
        },
        "units": _units(found.units),
        "hot_keys": [],
        "estimate": {"bytes_read": sum(p.read_bytes for u in found.units for p in u.pieces)},
        "gates": [],
        "next": f"raybackfill run CONFIG --plan {plan_id}",
    }


def _rows(units: Sequence[Unit]) -> tuple[int | None, bool]:
    """Rows in all, and whether that is exact: where an object's are not known they are reckoned by its
    size, from those that are; None where none are (large text is not counted before it is read)."""
    pieces = [piece for unit in units for piece in unit.pieces]
    known = [piece for piece in pieces if piece.rows >= 0]
    rows = sum(piece.rows for piece in known)
    if len(known) == len(pieces):
        return rows, True
    bytes_known = sum(piece.decoded_bytes for piece in known)
    bytes_all = sum(piece.decoded_bytes for piece in pieces)
    return (rows * bytes_all // bytes_known if bytes_known else None), False


def _scope(recipe: Recipe) -> dict[str, Any]:
    scope = recipe.spec.scope
    return {
        "column": recipe.scope_column,
        "start": scope.start.text if scope.start else None,
        "end": scope.end.text if scope.end else None,
        "include": {name: list(values) for name, values in scope.include.items()},
        "exclude": {name: list(values) for name, values in scope.exclude.items()},
        "margin_seconds": scope.margin_seconds,
    }


def _columns(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type) for field in schema}


def _folder_columns(recipe: Recipe) -> set[str]:
    """The columns that are written as folder names and not into files."""
    return {field.name for field in recipe.spec.target.partition_by if field.template is None}


def _differences(
    new: pa.Schema, live: pa.Schema | None, folder_columns: set[str]
) -> list[dict[str, str | None]]:
    """How the files that will be written differ from those that lie there."""
    if live is None:
        return []
    new = pa.schema([field for field in new if field.name not in folder_columns])
    names = [*new.names, *(name for name in live.names if name not in new.names)]
    pairs = [(name, _type_of(live, name), _type_of(new, name)) for name in names]
    return [{"column": n, "live": old, "output": out} for n, old, out in pairs if old != out]


def _type_of(schema: pa.Schema, name: str) -> str | None:
    return str(schema.field(name).type) if name in schema.names else None


def _target_partitions(found: Findings, *, appends: bool) -> dict[str, int | None]:
    """None where the paths do not tell which partitions there will be."""
    replaced = pc.unique(found.target_files["folder"])

    def absent(folders: pa.Array | None, within: pa.Array | None) -> int | None:
        if folders is None or within is None:
            return None
        return int(pc.sum(pc.invert(pc.is_in(folders, value_set=within))).as_py() or 0)

    def count(kind: str) -> int:
        folders = found.target_files["folder"].filter(pc.equal(found.target_files["scope"], kind))
        return int(pc.count_distinct(folders).as_py())

    new, more = absent(found.expected, found.target_folders), None
    if found.expected is not None and new is not None:
        more = len(found.expected) - new
    return {
        "partitions_new": new,
        "partitions_appended": more if appends else 0,
        "partitions_emptied": absent(replaced, found.expected),
        "partitions_replaced": count("inside"),
        "partitions_carried": count("partial"),
        "partitions_untouched": found.untouched,
        "files_replaced": found.target_files.num_rows,
        # None where rows may go, and nobody counts them.
        "rows_replaced": pc.sum(found.target_files["rows"], min_count=0).as_py()
        if found.target_files["rows"].null_count == 0
        else None,
    }


def _units(units: Sequence[Unit]) -> dict[str, Any]:
    largest = max((unit.decoded_bytes for unit in units), default=0)
    stages: Mapping[str, int] = {
        stage: sum(unit.stage == stage for unit in units) for stage in ("work", "carry")
    }
    return {
        "count": len(units),
        "stages": dict(stages),
        "rows_max": max((sum(max(piece.rows, 0) for piece in unit.pieces) for unit in units), default=0),
        "decoded_bytes_max": largest,
        "memory_bytes_max": WORKER_BASE_BYTES + WORKER_COPIES * largest,
    }
