"""Decides whether a contestant wrote what was asked: all of it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from benchmarks.revenue import EXACT

# A checksum of rows: equal types give equal hashes, and the sum does not depend on the order. Never
# a XOR, in which two equal rows would vanish.
_COLUMNS = (
    "dt::date, event_id::bigint, seq::bigint, ts::timestamp, user_id::bigint, tenant::integer, "
    "kind::varchar, currency::varchar, amount::double, session::varchar"
)
_CHECKSUM = f"count(*), coalesce(sum(hash({_COLUMNS})::hugeint), 0)"
# Engines round the halves of a double differently, so that the last digit is not compared as it
# stands: the revenue must lie within half of it, and have no more digits.
_WRONG = (
    f"count(*) filter (where revenue_usd is null or abs(revenue_usd - ({EXACT})::double) > 0.0000500001 "
    "or abs(revenue_usd * 10000 - round(revenue_usd * 10000)) > 0.0001)"
)


@dataclass(frozen=True)
class Rows:
    """How many rows, and the sum of their hashes over all columns of the source."""

    count: int
    checksum: int


@dataclass(frozen=True)
class Output:
    """What a contestant wrote. `rows_wrong`: rows whose revenue is not what it should be."""

    rows: Rows
    rows_wrong: int
    files: int
    bytes: int
    codecs: tuple[str, ...]


def expected_rows(source: Path) -> Rows:
    """What any table made of this source must hold."""
    query = f"select {_CHECKSUM} from {_files(source)} where kind <> 'view'"
    return Rows(*duckdb.execute(query).fetchall()[0])


def look_at(target: Path) -> Output:
    """Read a table back, every row of it."""
    query = f"select {_CHECKSUM}, {_WRONG} from {_files(target)}"
    count, checksum, wrong = duckdb.execute(query).fetchall()[0]
    paths = sorted(target.glob("**/*.parquet"))
    size = sum(path.stat().st_size for path in paths)
    return Output(Rows(count, checksum), wrong, len(paths), size, tuple(sorted(_codecs(paths[:1]))))


def complaint(output: Output, expected: Rows) -> str:
    """What is wrong with it, in a sentence; "" where nothing is."""
    if output.rows.count != expected.count:
        return f"it wrote {output.rows.count:,} rows, and {expected.count:,} are right"
    if output.rows != expected:
        return "its rows are not those of the source: the checksums differ"
    if output.rows_wrong:
        return f"revenue_usd is wrong in {output.rows_wrong:,} rows"
    return ""


def _files(folder: Path) -> str:
    return f"read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"


def _codecs(paths: Iterable[Path]) -> set[str]:
    footers = [pq.read_metadata(path) for path in paths]
    return {
        footer.row_group(0).column(index).compression.lower()
        for footer in footers
        for index in range(footer.num_columns)
    }
