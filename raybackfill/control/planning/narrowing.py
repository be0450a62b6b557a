"""Decides how much of a scope can be asked of rows that have not been through the job yet."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from raybackfill.control.planning.scope import Scope
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.control.planning.times import floor_local, instants_to_local, intervals_of
from raybackfill.errors import SpecError


def narrowed(scope: Scope, schema: pa.Schema) -> Scope:
    """The part of the scope that speaks of columns these rows have, with a type that can be compared.

    The scope is about rows of the target; what the source cannot answer yet (a column that the job
    makes, a time that is still text) is asked of the job's rows.
    """
    spec = scope.spec
    present = set(schema.names)
    if scope.column not in present or not _is_time(schema.field(scope.column).type):
        spec = replace(spec, start=None, end=None)
    include = {name: values for name, values in spec.include.items() if name in present}
    exclude = {name: values for name, values in spec.exclude.items() if name in present}
    return replace(scope, spec=replace(spec, include=include, exclude=exclude))


def without_times(scope: Scope) -> Scope:
    """The scope's values alone: intervals of paths are compared as intervals, not as rows."""
    return replace(scope, spec=replace(scope.spec, start=None, end=None))


def refuse_bounds_within_a_piece(scope: Scope, template: PathTemplate, files: pa.Schema) -> None:
    """SpecError where start or end lies within the smallest time that paths tell, and no file says more:
    the rows of that month, day or hour could be neither in scope nor out of it."""
    name = scope.column
    if name is None or name not in template.granularities or name in files.names:
        return
    piece = template.granularities[name]
    # Dates are compared as dates of the config's zone, times as instants of the paths' own.
    zone = scope.timezone if piece in ("year", "month", "day") else template.timezone
    for key, moment in (("start", scope.spec.start), ("end", scope.spec.end)):
        if moment is not None and not _begins(moment.instant, piece, zone):
            raise SpecError(
                f"{moment.text} lies within a {piece}, and source.path tells {name} by whole {piece}s only",
                where=f"scope.{key}",
                next=f"write the beginning of a {piece}, or name a time of the files as scope.column",
            )


def _begins(instant: int, piece: str, zone: str) -> bool:
    local = instants_to_local(pa.array([instant], pa.int64()), zone)
    return bool(intervals_of(floor_local(local, piece), piece, zone)[0][0].as_py() == instant)


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))
