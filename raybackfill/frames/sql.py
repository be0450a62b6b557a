"""Jobs in SQL, over DuckDB in this process: it is given Arrow data and may open nothing by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa

from raybackfill.errors import SpecError

# What makes a result depend on more than the row itself, by DuckDB's own names in a parsed query.
_NOT_ROW_BY_ROW = {
    "DISTINCT_MODIFIER": "distinct",
    "ORDER_MODIFIER": "order by",
    "LIMIT_MODIFIER": "limit",
    "LIMIT_PERCENT_MODIFIER": "limit",
}
_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}


class SqlFrame:
    """What DuckDB makes of Arrow data on the way in and out."""

    name = "SQL (DuckDB)"

    def __init__(self, timezone: str) -> None:
        self._timezone = timezone

    def from_arrow(self, table: pa.Table) -> pa.Table:
        return table

    def to_arrow(self, value: Any) -> pa.Table:
        if not isinstance(value, pa.Table):
            raise TypeError(f"expected a table, got {type(value).__name__}")
        return value

    def carried(self, schema: pa.Schema) -> pa.Schema:
        return Query("select * from input", {}, {}, self._timezone)(schema.empty_table()).schema

    def carries(self, field: pa.Field) -> bool:
        return is_carried(field.type)


class Query:
    """One query over `input` and named tables. Rows keep their order; parameters are `$name`."""

    def __init__(
        self, query: str, params: Mapping[str, Any], tables: Mapping[str, pa.Table], timezone: str
    ) -> None:
        used = parameters(query)
        missing = sorted(used - set(params))
        if missing:
            raise SpecError(
                f"the query's ${missing[0]} has no value",
                where="transform.sql",
                next=f"add transform.params: {{{missing[0]}: ..}}",
            )
        self._query = query
        self._params = {name: value for name, value in params.items() if name in used}
        self._connection = connect(timezone)
        for name, table in tables.items():
            self._connection.register(name, table)

    def __call__(self, table: pa.Table) -> pa.Table:
        self._connection.register("input", table)
        try:
            return self._connection.sql(self._query, params=self._params or None).to_arrow_table()
        finally:
            self._connection.unregister("input")


class Predicate:
    """A SQL predicate over rows; null counts as no."""

    def __init__(self, where: str, timezone: str) -> None:
        query = f"select coalesce(({where}), false)::boolean as kept from input"
        reasons = [*grouping(query), *unstable(query)]
        if reasons:
            raise SpecError(
                f"a predicate speaks of one row; this one has {', '.join(reasons)}", where="source.where"
            )
        self._columns = set(_names_used(query))
        self._where = where
        self._query = Query(query, {}, {}, timezone)

    def __call__(self, table: pa.Table) -> pa.BooleanArray:
        """Whether each row is kept, never null. SpecError where it cannot be evaluated."""
        # Only what it speaks of is handed over: other columns may be of types that DuckDB lacks.
        names = [name for name in table.column_names if name.lower() in self._columns]
        given = table.select(names) if names else pa.table({"": pa.nulls(table.num_rows)})
        try:
            return self._query(given)["kept"].combine_chunks()
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise SpecError(f"{self._where!r} cannot be evaluated: {reason}", where="source.where") from error


def connect(timezone: str, **settings: str) -> Any:
    """A DuckDB of one thread that reads no file, no network and no extension. `settings` are its own."""
    connection = duckdb.connect(
        config={
            "threads": 1,
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            # Without this a name that is no table is looked up among Python's variables.
            "python_enable_replacements": "false",
            **settings,
        }
    )
    connection.execute("set TimeZone = ?", [timezone])
    return connection


def is_carried(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):
        return all(is_carried(kind.field(index).type) for index in range(kind.num_fields))
    return not (
        pa.types.is_decimal256(kind)
        or pa.types.is_float16(kind)
        or pa.types.is_interval(kind)
        or pa.types.is_duration(kind)
        or pa.types.is_union(kind)
    )


# A connection of its own takes some 30 ms, and a query is looked at several times.
@lru_cache(maxsize=64)
@lru_cache(maxsize=64)
def parsed(query: str) -> dict[str, Any]:
    answer = duckdb.connect().execute("select json_serialize_sql(?)", [query]).fetchone()
    parsed: dict[str, Any] = json.loads(answer[0])
    if parsed["error"]:
        raise SpecError(
            f"not a query that can be run: {parsed['error_message']}",
            where="transform.sql",
            next="write one select statement over the table `input`",
        )
    if len(parsed["statements"]) != 1:
        raise SpecError(
            f"one select statement is expected, found {len(parsed['statements'])}", where="transform.sql"
        )
    return parsed


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from nodes(item)


def parameters(query: str) -> set[str]:
    """The names of the query's `$name` parameters."""
    return {str(node["identifier"]) for node in nodes(parsed(query)) if node.get("class") == "PARAMETER"}


def grouping(query: str) -> list[str]:
    """What in the query looks beyond a single row: a reason each, none for `per: rows`.

    Found in DuckDB's own parse of the query, not by searching the text.
    """
    aggregates = _functions("function_type = 'aggregate'")
    return sorted({reason for node in nodes(parsed(query)) for reason in _beyond_a_row(node, aggregates)})


def _beyond_a_row(node: Mapping[str, Any], aggregates: frozenset[str]) -> Iterator[str]:
    if node.get("class") == "WINDOW":
        yield "a window function"
    if node.get("class") == "FUNCTION" and str(node.get("function_name", "")).lower() in aggregates:
        yield f"the aggregate {node['function_name']}"
    if node.get("group_expressions"):
        yield "group by"
    if node.get("type") == "SET_OPERATION_NODE" and not node.get("setop_all"):
        yield str(node["setop_type"]).lower()
    # The type of a value, unlike that of a clause, is a mapping.
    if str(node.get("type")) in _NOT_ROW_BY_ROW and node.get("orders") != []:
        yield _NOT_ROW_BY_ROW[str(node["type"])]
    if node.get("sample"):
        yield "a sample"


def unstable(query: str) -> list[str]:
    """Functions and samples in the query whose answer changes from call to call: a retry would differ."""
    volatile = _functions("stability != 'CONSISTENT' and function_type = 'scalar'")
    samples = [node["sample"] for node in nodes(parsed(query)) if node.get("sample")]
    drawn = {"a sample that is not repeatable"} if any(not s["repeatable"] for s in samples) else set()
    return sorted(set(_names_used(query)) & (volatile | _CLOCKS) | drawn)


def _names_used(query: str) -> Iterator[str]:
    for node in nodes(parsed(query)):
        if node.get("class") == "FUNCTION":
            yield str(node["function_name"]).lower()
        elif node.get("class") == "COLUMN_REF":
            # SQL's clocks stand without parentheses and parse like columns.
            yield str(node["column_names"][-1]).lower()


@lru_cache(maxsize=8)
@lru_cache(maxsize=8)
def _functions(condition: str) -> frozenset[str]:
    query = f"select distinct lower(function_name) from duckdb_functions() where {condition}"
    return frozenset(row[0] for row in duckdb.connect().execute(query).fetchall())
