"""Queries over views of rows that come in parts, over DuckDB in this process; what is too much is spilled."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from raybackfill.control.proving.reconciling import ROWS_MAX, check_rows
from raybackfill.errors import SpecError, TransientError
from raybackfill.frames.sql import connect, is_carried, nodes, parsed, unstable

_ALL_COLUMNS = ("STAR", "POSITIONAL_REFERENCE")


@dataclass(frozen=True)
class View:
    """Rows that have a name in queries. `tables` gives them in parts, with the columns that are asked for
    at least."""

    schema: pa.Schema
    tables: Callable[[Sequence[str]], Iterable[pa.Table]]


class Views:
    """Loads what the queries need of each view, once, into tables of DuckDB's own: so a query may name a
    view as often as it likes, and the rows are read through our stores only.

    Memory stays below `memory_bytes`, but for the answers; the rest is spilled to a temporary folder.
    """

    def __init__(
        self, views: Mapping[str, View], queries: Sequence[str], timezone: str, memory_bytes: int
    ) -> None:
        self._views = dict(views)
        self._queries = tuple(queries)
        self._timezone = timezone
        self._memory_bytes = memory_bytes

    def __enter__(self) -> Views:
        self._folder = tempfile.TemporaryDirectory(prefix="raybackfill-")
        try:
            self._connection = connect(
                self._timezone, temp_directory=self._folder.name, memory_limit=f"{self._memory_bytes}B"
            )
            for name, columns in columns_used(self._queries, self._views).items():
                self._load(name, columns)
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._folder.cleanup()

    def ask(self, query: str) -> pa.Table:
        """The query's rows. SpecError where it is wrong, or gives more than can be compared."""
        try:
            answer = self._connection.sql(query)
            table = answer.limit(ROWS_MAX + 1).to_arrow_table()
        except duckdb.Error as error:
            raise _translated(error) from error
        check_rows(table.num_rows)
        # A limit gives other names to columns of one name, which is for others to judge.
        return table.rename_columns(answer.columns)

    def _load(self, name: str, columns: Sequence[str]) -> None:
        schema = pa.schema([self._views[name].schema.field(column) for column in columns])
        self._take(f'create temp table "{name}" as select * from batch', schema.empty_table())
        for table in self._views[name].tables(columns):
            self._take(f'insert into "{name}" select * from batch', table.select(columns))

    def _take(self, statement: str, batch: pa.Table) -> None:
        self._connection.register("batch", batch)
        try:
            self._connection.execute(statement)
        except duckdb.Error as error:
            raise _translated(error) from error
        finally:
            self._connection.unregister("batch")


def check_stable(query: str) -> None:
    """SpecError for what is no query, or changes its answer by itself."""
    try:
        changing = unstable(query)
    except SpecError as error:
        raise SpecError(
            error.message, next="write one select statement over the views source and target"
        ) from None
    if changing:
        raise SpecError(
            f"{', '.join(changing)} gives another answer each time, and nobody could tell what differs",
            next="take the time from the data, or write it out",
        )


def columns_used(queries: Sequence[str], views: Mapping[str, View]) -> dict[str, list[str]]:
    """The views that the queries name, with the columns that they may need of each: rather too many than
    too few. One at least, because rows can be counted without naming any."""
    found: dict[str, set[str]] = {}
    for query in queries:
        tree = list(nodes(parsed(query)))
        named = {str(node["table_name"]).lower() for node in tree if node.get("type") == "BASE_TABLE"}
        words = {text.lower() for node in tree for text in _texts(node)}
        for name in named & views.keys():
            columns = views[name].schema.names
            needs = set(columns) if _takes_all(tree, named) else {c for c in columns if c.lower() in words}
            found[name] = found.get(name, set()) | needs
    return {name: _in_order(views[name].schema, needs) for name, needs in sorted(found.items())}


def _takes_all(tree: Sequence[Mapping[str, Any]], named: set[str]) -> bool:
    """Whether columns are taken without being named: by a star, by their number, by a natural join, or by
    the name of their table."""
    tables = named | {str(node["alias"]).lower() for node in tree if node.get("type") == "BASE_TABLE"}
    for node in tree:
        if node.get("class") in _ALL_COLUMNS or node.get("ref_type") == "NATURAL":
            return True
        # Alone, a table's name is a whole row; before a column's name it is not.
        names: Sequence[str] = node["column_names"] if node.get("class") == "COLUMN_REF" else []
        if len(names) == 1 and names[0].lower() in tables:
            return True
    return False


def _texts(node: Mapping[str, Any]) -> Iterator[str]:
    for value in node.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, str))


def _in_order(schema: pa.Schema, needs: set[str]) -> list[str]:
    if not needs:
        return [next((field.name for field in schema if is_carried(field.type)), schema.names[0])]
    for name in needs:
        if not is_carried(schema.field(name).type):
            raise SpecError(
                f"DuckDB cannot carry the column {name}, which is {schema.field(name).type}",
                next="name the columns that the query needs, without this one",
            )
    return [name for name in schema.names if name in needs]


def _translated(error: duckdb.Error) -> SpecError | TransientError:
    reason = str(error).splitlines()[0]
    if isinstance(error, duckdb.OutOfMemoryException):
        return SpecError(f"the query needs more memory: {reason}", next="raise limits.worker_memory")
    if isinstance(error, duckdb.IOException):
        return TransientError(reason, next="see that the temporary folder (TMPDIR) has room for the rows")
    return SpecError(
        f"the query cannot be run: {reason}", next="correct it: its tables are the views source and target"
    )
