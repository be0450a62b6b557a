"""Hop 3, transform: rows of the source -> rows of the target, by the user's job."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from raybackfill.control.planning.aligning import align
from raybackfill.errors import RaybackfillError, UnitError
from raybackfill.frames import Frame

OUT_OF_MEMORY_NAMES = frozenset({"OutOfMemoryException"})
"""DuckDB's own, which is no MemoryError."""


@dataclass(frozen=True)
class Job:
    """A user's function with everything it takes beside its rows. `schema` is what goes in."""

    ref: str
    function: Callable[..., Any]
    frame: Frame
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, table: pa.Table) -> pa.Table:
        """The function's rows as Arrow data. UnitError names the job, the error and its line."""
        try:
            given = self.frame.from_arrow(table)
            result = self.function(given, **self.arguments)
            return restore_types(
                self.frame.to_arrow(result), table.schema, _carried_types(self.frame, table.schema)
            )
        except (RaybackfillError, MemoryError):
            raise
        except Exception as error:
            if type(error).__name__ in OUT_OF_MEMORY_NAMES:
                raise MemoryError(str(error)) from error
            raise _job_failed(self.ref, error) from error
        except BaseException as error:
            # Polars' panics and sys.exit() are no Exceptions, and no reason to end the worker: an
            # exit code of 0 would even pass for success.
            if type(error).__name__ not in ("PanicException", "SystemExit"):
                raise
            raise _job_failed(self.ref, error) from None


def restore_types(result: pa.Table, given: pa.Schema, carried: pa.Schema) -> pa.Table:
    """Columns that came back under their name in the type that the engine carries them in (Polars:
    seconds as milliseconds, views as large strings) get their own type again."""
    if carried.equals(given):
        return result
    for index, column in enumerate(result.schema):
        if column.name in given.names and column.type == carried.field(column.name).type:
            kind = given.field(column.name).type
            if kind != column.type:
                result = result.set_column(index, column.name, result[index].cast(kind))
    return result


def _carried_types(frame: Frame, given: pa.Schema) -> pa.Schema:
    """The types in which an engine gives back what it was given: found once, since all batches ask."""
    key = (frame.name, given)
    if key not in _carried:
        _carried[key] = frame.carried(given)
    return _carried[key]


_carried: dict[tuple[str, pa.Schema], pa.Schema] = {}


def conform(result: pa.Table, schema: pa.Schema, ref: str) -> pa.Table:
    """The job's rows in the target's schema: the plan's schema holds for every unit."""
    try:
        fitting = align_exactly(result, schema)
    except ValueError as error:
        raise UnitError(
            f"the rows of {ref} do not fit the target's schema: {error}",
            next="make the job give the same columns and types for all data, or set target.schema",
        ) from error
    if fitting.num_rows != result.num_rows:
        raise UnitError(
            f"{ref} gave {result.num_rows} rows, and {fitting.num_rows} are left in the target's types",
            next="this is a defect of raybackfill: please report it with this line",
        )
    return fitting


def align_exactly(table: pa.Table, schema: pa.Schema) -> pa.Table:
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ValueError(f"no column {', '.join(missing)}")
    return align(table, schema)


def _job_failed(ref: str, error: BaseException) -> UnitError:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    message = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    return UnitError(f"the job {ref} raised {type(error).__name__}: {message}{place}")


def _is_users(filename: str) -> bool:
    return (
        filename.endswith(".py")
        and "raybackfill/flow/" not in filename
        and "raybackfill/frames/" not in filename
        and ("site-packages" not in filename and not filename.startswith("<frozen"))
    )
