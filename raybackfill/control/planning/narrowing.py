"""Decides how much of a scope can be asked of rows that have not been through the job yet."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from raybackfill.control.planning.scope import Scope


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


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))
