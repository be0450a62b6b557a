"""The one function that runs on a worker: extract, transform and load of a unit, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from raybackfill.errors import OUT_OF_MEMORY, RaybackfillError, TransientError, UnitError
from raybackfill.flow.extract import Batch, Extract, key_span
from raybackfill.flow.load import Loader
from raybackfill.model import Receipt, Rows, StagedFile, Unit

# What a job is called with, at most: small files are drawn together to this size, large ones cut.
CALL_BYTES = 32_000_000


@dataclass(frozen=True)
class Hops:
    """What a unit's rows pass. `accept` gives the rows that may be loaded (the others are out of
    scope and counted as filtered) or raises; `check_folders` raises for a folder out of scope."""

    extract: Extract
    transform: Callable[[pa.Table], pa.Table]
    accept: Callable[[pa.Table], pa.Table]
    loader: Callable[[Unit, str], Loader]
    check_folders: Callable[[Sequence[str]], None]
    whole_partitions: bool
    carries: bool


def process_unit(unit: Unit, attempt: str, hops: Hops) -> Receipt:
    """Work on a unit once. Everything it writes lies under keys of this attempt alone, so that a
    crash leaves files that nobody refers to, and a second attempt meets none of them.

    The receipt's requests are left for the caller, who counts them.
    """
    started = time.perf_counter()
    loader = hops.loader(unit, attempt)
    try:
        rows = _move_rows(unit, hops, loader)
        files = loader.finish()
        hops.check_folders(sorted({file.partition for file in files}))
    except RaybackfillError as error:
        loader.abort()
        error.where = error.where or key_span(unit.pieces[0].key, unit.pieces[-1].key)
        raise
    except MemoryError as error:
        loader.abort()
        raise TransientError(
            f"a worker ran out of memory ({str(error) or type(error).__name__})",
            where=key_span(unit.pieces[0].key, unit.pieces[-1].key),
            next="raise limits.worker_memory, or run fewer workers",
            fault=OUT_OF_MEMORY,
        ) from None
    except BaseException:
        loader.abort()
        raise
    _check_conservation(unit, rows, files)
    return Receipt(
        unit=unit.id,
        attempt=attempt,
        rows=rows,
        files=files,
        bytes_read=sum(piece.read_bytes for piece in unit.pieces),
        bytes_staged=sum(file.size for file in files),
        seconds=time.perf_counter() - started,
    )


def _move_rows(unit: Unit, hops: Hops, loader: Loader) -> Rows:
    rows = Rows()
    for batch in hops.extract.batches(unit.pieces, CALL_BYTES, whole_partitions=hops.whole_partitions):
        try:
            result = hops.transform(batch.table)
            accepted = hops.accept(result)
            loader.add(accepted)
        except RaybackfillError as error:
            error.where = error.where or batch.where
            raise
        rows += _counted(batch, result.num_rows, accepted.num_rows, hops)
    return rows


def _counted(batch: Batch, rows_made: int, rows_out: int, hops: Hops) -> Rows:
    """Where the rows of one call went. The counts are taken here, outside the job."""
    given = batch.table.num_rows
    fewer, more = max(given - rows_made, 0), max(rows_made - given, 0)
    filtered = batch.rows_filtered + rows_made - rows_out
    if hops.carries:
        return Rows(read=batch.rows_read, filtered=filtered, carried=rows_out)
    if hops.whole_partitions:
        return Rows(read=batch.rows_read, out=rows_out, filtered=filtered, merged=fewer, added=more)
    return Rows(read=batch.rows_read, out=rows_out, filtered=filtered + fewer, added=more)


def _check_conservation(unit: Unit, rows: Rows, files: Sequence[StagedFile]) -> None:
    """Every row is accounted for: this is a check of the hops above, never of the user's job."""
    went = rows.out + rows.filtered + rows.quarantined + rows.merged + rows.carried
    staged = sum(file.rows for file in files)
    planned = sum(piece.rows for piece in unit.pieces)
    known = all(piece.rows >= 0 for piece in unit.pieces)
    as_planned = planned == rows.read or not known
    if rows.read + rows.added != went or staged != rows.out + rows.carried or not as_planned:
        raise UnitError(
            f"rows are not accounted for: {rows.to_json()}, {staged} in staged files, "
            f"{planned if known else 'an unknown number'} in the plan",
            where=unit.id,
            next="this is a defect of raybackfill or of the store: please report it with this line",
        )
