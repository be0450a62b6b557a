"""Keeps plans beside the runs that carry them out: made once, read by any machine."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from raybackfill.control.planning.plan import (
    FORMAT,
    TARGET_FILES,
    UNITS,
    Plan,
    recipe_document,
    recipe_from_document,
)
from raybackfill.errors import IntegrityError, SpecError
from raybackfill.paths import PlanPaths
from raybackfill.spec import spec_document
from raybackfill.storage import ObjectStore

UNITS_PER_FILE = 100_000


def save_plan(store: ObjectStore, paths: PlanPaths, plan: Plan, bundle: bytes) -> None:
    """Write the plan under its ID, plan.json last: where that stands, all of it does. The same plan
    again changes nothing."""
    if store.head(paths.plan) is not None:
        return
    store.put(paths.code, bundle)
    store.put(paths.spec, yaml.safe_dump(spec_document(plan.recipe.spec), sort_keys=False).encode())
    files = range(0, max(plan.units_table.num_rows, 1), UNITS_PER_FILE)
    for index, start in enumerate(files):
        store.put(paths.units(index), _parquet(plan.units_table.slice(start, UNITS_PER_FILE)))
    store.put(paths.target_files, _parquet(plan.target_files))
    document = {
        "format": FORMAT,
        "recipe": recipe_document(plan.recipe),
        "base_version": plan.base_version,
        "units_files": len(files),
        "summary": plan.summary,
    }
    store.put(paths.plan, json.dumps(document).encode(), create=True)


def load_plan(store: ObjectStore, paths: PlanPaths) -> tuple[Plan, bytes]:
    """The plan and its code. SpecError where there is no such plan."""
    if store.head(paths.plan) is None:
        raise SpecError(
            f"there is no plan {paths.plan_id}", where=paths.root, next="make one: raybackfill plan CONFIG"
        )
    document: dict[str, Any] = json.loads(store.read(paths.plan).to_pybytes())
    if document.get("format") != FORMAT:
        raise IntegrityError(
            f"the plan's format is {document.get('format')!r}, this raybackfill reads {FORMAT}",
            where=paths.plan,
            next="use the version of raybackfill that wrote it",
        )
    units = [_table(store, paths.units(index)) for index in range(document["units_files"])]
    plan = Plan(
        id=paths.plan_id,
        recipe=recipe_from_document(document["recipe"]),
        base_version=document["base_version"],
        units_table=pa.concat_tables(units).cast(UNITS),
        target_files=_target_files(_table(store, paths.target_files)),
        summary=document["summary"],
    )
    return plan, load_code(store, paths)


def load_code(store: ObjectStore, paths: PlanPaths) -> bytes:
    """The bundle of the plan's code."""
    bundle: bytes = store.read(paths.code).to_pybytes()
    return bundle


def _target_files(stored: pa.Table) -> pa.Table:
    """Plans of earlier versions have counted no rows."""
    if "rows" not in stored.column_names:
        stored = stored.append_column("rows", pa.nulls(stored.num_rows, pa.int64()))
    return stored.cast(TARGET_FILES)


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _table(store: ObjectStore, key: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(store.read(key)))
