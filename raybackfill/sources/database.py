"""Moves the answer of a database to an Arrow table, through SQLAlchemy. Nothing is ever written there.

No message shows a password: where a URL is named, it is without it, and what drivers say is gone through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy import exc as errors
from sqlalchemy.pool import NullPool

from raybackfill.control.proving.likeness import exact
from raybackfill.control.proving.reconciling import check_rows
from raybackfill.errors import RaybackfillError, SpecError, TransientError

ROWS_AT_ONCE = 10_000
_QUERY = re.compile(r"[\s(]*(select|with|values|table)\b", re.IGNORECASE)
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|into|create|alter|drop|truncate|grant|call|exec|execute)\b", re.IGNORECASE
)
_NO_WORDS = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
"""Texts, quoted names and comments."""

# Some drivers begin no transaction before a query that writes, so that none could be rolled back.
_READ_ONLY = {"sqlite": "pragma query_only = on", "postgresql": "set transaction read only"}
_SECRET = re.compile(r"(?i)pass|pwd|secret|token|key|odbc_connect")


def check_database(url: str, query: str) -> None:
    """SpecError for a query that writes, a URL that is none, or a driver that is not installed. Nothing is
    connected to."""
    _refuse_writes(query)
    _engine(url).dispose()


def ask_database(url: str, query: str) -> pa.Table:
    """The rows of one query. SpecError where it is wrong; TransientError where nobody answers."""
    _refuse_writes(query)
    engine = _engine(url)
    with _connected(engine) as connection, _translated(engine):
        if engine.dialect.name in _READ_ONLY:
            connection.exec_driver_sql(_READ_ONLY[engine.dialect.name])
        options = {"no_parameters": True, "stream_results": True}
        result = connection.execution_options(**options).exec_driver_sql(query)
        names = list(result.keys())
        columns: list[list[Any]] = [[] for _ in names]
        for part in result.partitions(ROWS_AT_ONCE):
            check_rows(len(columns[0]) + len(part))
            for column, values in zip(columns, zip(*part, strict=True), strict=True):
                column.extend(values)
    arrays = [_array(name, values) for name, values in zip(names, columns, strict=True)]
    return pa.Table.from_arrays(arrays, names)


def _refuse_writes(query: str) -> None:
    words = _NO_WORDS.sub(" ", query)
    if not _QUERY.match(words):
        raise SpecError("a database is only asked", next="write one query that begins with select or with")
    writes = _WRITES.search(words)
    if writes is not None:
        raise SpecError(
            f"a database is only asked, and the query says {writes[0]}",
            next="leave it out; a column of that name needs quotes",
        )


def _engine(text: str) -> Engine:
    try:
        url = make_url(text)
        engine = create_engine(url, poolclass=NullPool)
    except errors.NoSuchModuleError:
        raise SpecError(
            f"SQLAlchemy knows no database {url.drivername}",
            next="write it like postgresql://host/name; other kinds need a package of their own",
        ) from None
    except ImportError as error:
        raise SpecError(
            f"the driver of {url.drivername} is not installed: {error}",
            next=f"pip install {error.name or 'the driver'}, or name another one: {url.get_backend_name()}+..://",
        ) from None
    except (errors.ArgumentError, ValueError):
        # What it says may show the URL.
        raise SpecError(
            "this is not the URL of a database", next="write it like postgresql://host/name"
        ) from None
    path = url.database if url.get_backend_name() == "sqlite" else None
    if path and path != ":memory:" and not path.startswith("file:") and not Path(path).is_file():
        # SQLite would make one, and say that it has no such table.
        raise SpecError(f"there is no database {path}", next="check the path")
    return engine


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    """A connection whose work is always rolled back."""
    try:
        connection = engine.connect()
    except (errors.SQLAlchemyError, OSError) as error:
        raise TransientError(
            f"cannot connect to {_shown(engine.url)}: {_said(error, engine.url)}",
            next="see that it runs, that it is reached from here, and that user and password are right",
        ) from None
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except errors.ResourceClosedError:
        raise SpecError("the query gives no rows at all", next="write one select statement") from None
    except (errors.SQLAlchemyError, OSError) as error:
        raise _failed(error, engine) from None


def _failed(error: Exception, engine: Engine) -> RaybackfillError:
    said = f"{_shown(engine.url)}: {_said(error, engine.url)}"
    is_lost = isinstance(error, OSError | errors.TimeoutError) or getattr(
        error, "connection_invalidated", False
    )
    # SQLite gives the same error for a table that is not there.
    is_operation = isinstance(error, errors.OperationalError)
    if is_operation and (engine.dialect.name != "sqlite" or re.search("locked|busy", said)):
        is_lost = True
    if is_lost:
        return TransientError(f"the database did not answer: {said}", next="try again")
    return SpecError(f"the database refused the query: {said}", next="correct the query")


def _shown(url: URL) -> str:
    return f"{url.drivername}://{url.host or ''}/{url.database or ''}"


def _said(error: Exception, url: URL) -> str:
    """The first line of what the driver says, without what must not be seen."""
    text = str(getattr(error, "orig", None) or error).strip()
    said = text.splitlines()[0] if text else type(error).__name__
    hidden = [url.password, *(value for name, value in url.query.items() if _SECRET.search(name))]
    for secret in hidden:
        for value in (secret,) if isinstance(secret, str) else secret or ():
            said = said.replace(str(value), "***") if value else said
    return said


def _array(name: str, values: list[Any]) -> pa.Array:
    """The column in the type that all its values have: a database says it value by value."""
    values = [str(value) if isinstance(value, UUID) else value for value in values]
    for make in (pa.array, _decimals):
        try:
            return make(values)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            continue
    seen = sorted({type(value).__name__ for value in values if value is not None})
    raise SpecError(
        f"the column {name} holds values of no common type: {', '.join(seen)}",
        next="cast it to one type in the query",
    )


def _decimals(values: Sequence[Any]) -> pa.Array:
    """Numbers too large for an integer of 64 bits, or of which some are decimals."""
    if not all(value is None or isinstance(value, int | Decimal | float) for value in values):
        raise TypeError("not a column of numbers")
    numbers = [None if value is None else exact(value) for value in values]
    scale = max(0, *(-int(number.as_tuple().exponent) for number in numbers if number is not None))
    return pa.array(numbers, pa.decimal256(76, scale))
