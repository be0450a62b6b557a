"""What `verify.reconcile` asks: queries over this run's rows and over databases, and whether they agree."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
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

Tables = Callable[[Sequence[str]], Iterable[pa.Table]]


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
    with _opened(plan.recipe, rows.source, rows.target) as views:
        entries = enumerate(plan.recipe.spec.verify.reconcile)
        return [_compared(entry, _where(index), views) for index, entry in entries]


def check_reconcile(recipe: Recipe) -> None:
    """SpecError for entries that could not work, before any work is done: their queries are run over no
    rows, and databases are looked for, but not asked."""

    def no_rows(columns: Sequence[str]) -> Iterator[pa.Table]:
        return iter(())

    with _opened(recipe, no_rows, no_rows) as views:
        for index, entry in enumerate(recipe.spec.verify.reconcile):
            if not (entry.source.is_outside or entry.target.is_outside):
                _compared(entry, _where(index), views)
                continue
            for side, query in _sides(entry, _where(index)):
                if not query.is_outside:
                    _located(side, _answer, query, views)


@contextmanager
def _opened(recipe: Recipe, source: Tables, target: Tables) -> Iterator[Any]:
    """What answers the queries over views; None where there is none."""
    entries = enumerate(recipe.spec.verify.reconcile)
    sides = [side for index, entry in entries for side in _sides(entry, _where(index))]
    for where, query in sides:
        _located(where, _check, query)
    inside = [query.sql for _, query in sides if not query.is_outside]
    if not inside:
        yield None
        return
    views = {"source": (recipe.row_schema, source), "target": (recipe.output_schema, target)}
    with make_views(views, inside, recipe.spec.timezone, recipe.spec.limits.worker_memory) as opened:
        yield opened


def _sides(entry: ReconcileSpec, where: str) -> list[tuple[str, QuerySpec]]:
    return [(f"{where}.source", entry.source), (f"{where}.target", entry.target)]


def _compared(entry: ReconcileSpec, where: str, views: Any) -> Reconciled:
    started = time.perf_counter()
    source, target = (_located(side, _answer, query, views) for side, query in _sides(entry, where))
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
