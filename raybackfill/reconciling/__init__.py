"""What `verify.reconcile` asks: queries over this run's rows and over databases, and whether they agree."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raybackfill.assembly import Assembly
from raybackfill.control.planning.plan import Plan, Recipe
from raybackfill.control.proving.reconciling import Reconciliation, reconcile
from raybackfill.errors import RaybackfillError, SpecError
from raybackfill.paths import RunPaths
from raybackfill.reconciling.rows import Rows, WrittenFile
from raybackfill.spec import QuerySpec, ReconcileSpec
from raybackfill.wiring import (
    Stores,
    ask_database,
    check_database,
    check_view_query,
    make_views,
)

__all__ = ["Reconciled", "WrittenFile", "check_reconcile", "reconcile_run"]

SOURCE, TARGET = "source", "target"

Tables = Callable[[Sequence[str]], Iterable[pa.Table]]
ViewRows = Mapping[str, tuple[pa.Schema, Tables]]


@dataclass(frozen=True)
class Reconciled:
    """One entry of `verify.reconcile`, and how far its two answers agree."""

    entry: ReconcileSpec
    found: Reconciliation
    seconds: float

    @property
    def holds(self) -> bool:
        return self.found.holds

    def to_json(self) -> dict[str, Any]:
        return {
            "source": _query_json(self.entry.source),
            "target": _query_json(self.entry.target),
            "tolerance": self.entry.tolerance,
            **self.found.to_json(),
            "seconds": round(self.seconds, 3),
        }


def reconcile_run(
    plan: Plan, stores: Stores, run: RunPaths, files: Sequence[WrittenFile]
) -> list[Reconciled]:
    """What each entry of `verify.reconcile` finds of these files, in their order.

    Each view that is named is read once, for all entries. SpecError names the query that is wrong, before
    any row is read where that can be seen; TransientError a database that does not answer.
    """
    rows = Rows(plan, Assembly(plan.recipe, stores, b"", run.run_id), files)
    return _reconciled(
        plan.recipe,
        {SOURCE: (plan.recipe.row_schema, rows.source), TARGET: (plan.recipe.output_schema, rows.target)},
    )


def check_reconcile(recipe: Recipe) -> None:
    """SpecError for entries that could not work, before any work is done: their queries are run over no
    rows, and databases are looked for, but not asked."""

    def no_rows(columns: Sequence[str]) -> Iterator[pa.Table]:
        return iter(())

    _reconciled(
        recipe,
        {SOURCE: (recipe.row_schema, no_rows), TARGET: (recipe.output_schema, no_rows)},
        ask_outside=False,
    )


def _reconciled(recipe: Recipe, views: ViewRows, *, ask_outside: bool = True) -> list[Reconciled]:
    entries = recipe.spec.verify.reconcile
    asked = [
        (side, query)
        for index, entry in enumerate(entries)
        for side, query in (
            (f"{_where(index)}.source", entry.source),
            (f"{_where(index)}.target", entry.target),
        )
    ]
    for where, query in asked:
        _located(where, _check, query)
    inside = [query.sql for _, query in asked if not query.is_outside]
    memory_bytes = recipe.spec.limits.worker_memory
    with make_views(views, inside, recipe.spec.timezone, memory_bytes) if inside else nullcontext() as opened:
        found = []
        for index, entry in enumerate(entries):
            if ask_outside or not (entry.source.is_outside or entry.target.is_outside):
                found.append(_compared(entry, _where(index), opened))
    return found


def _compared(entry: ReconcileSpec, where: str, views: Any) -> Reconciled:
    started = time.perf_counter()
    source = _located(f"{where}.source", _answer, entry.source, views)
    target = _located(f"{where}.target", _answer, entry.target, views)
    found = _located(where, reconcile, source, target, entry.keys, entry.tolerance)
    return Reconciled(entry, found, time.perf_counter() - started)


def _where(index: int) -> str:
    return f"verify.reconcile[{index}]"


def _located(where: str, function: Callable[..., Any], *args: Any) -> Any:
    """The function's answer; an error that does not know where it is, is here."""
    try:
        return function(*args)
    except RaybackfillError as error:
        error.where = error.where or where
        raise


def _check(query: QuerySpec) -> None:
    if query.is_outside:
        check_database(_url(query), query.sql)
    else:
        check_view_query(query.sql)


def _answer(query: QuerySpec, views: Any) -> pa.Table:
    return ask_database(_url(query), query.sql) if query.is_outside else views.ask(query.sql)


def _url(query: QuerySpec) -> str:
    if query.database is not None:
        return query.database
    found = os.environ.get(query.database_env or "", "")
    if not found:
        raise SpecError(
            f"the environment has no {query.database_env}, which is to hold the database's URL",
            next=f"set it where this command runs: export {query.database_env}=..",
        )
    return found


def _query_json(query: QuerySpec) -> dict[str, Any]:
    return {"sql": query.sql, "database": query.database, "database_env": query.database_env}
