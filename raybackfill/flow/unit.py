"""The one function that runs on a worker: extract, transform and load of a unit, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from raybackfill.control.proving.checks.counts import miscounts
from raybackfill.errors import OUT_OF_MEMORY, RaybackfillError, TransientError, UnitError
from raybackfill.flow.extract import Batch, Extract, key_span
from raybackfill.flow.load import Loader
from raybackfill.flow.proof import Proof
from raybackfill.model import Receipt, Rows, Unit

# What a job is called with, at most: small files are drawn together to this size, large ones cut.
CALL_BYTES = 32_000_000


@dataclass(frozen=True)
class Hops:
    """What a unit's rows pass. `accept` gives the rows that may be loaded, and how many are out of scope and
    left out, or raises; `folders` names the folder of the target that each belongs
    to; `check_folders` raises for a folder out of scope."""

    extract: Extract
    transform: Callable[[pa.Table], pa.Table]
    accept: Callable[[pa.Table], tuple[pa.Table, int]]
    folders: Callable[[pa.Table], pa.DictionaryArray]
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
    proof = Proof()
    try:
        rows = _move_rows(unit, hops, loader, proof)
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
    receipt = Receipt(
        unit=unit.id,
        attempt=attempt,
        rows=rows,
        files=files,
        bytes_read=sum(piece.read_bytes for piece in unit.pieces),
        bytes_staged=sum(file.size for file in files),
        seconds=time.perf_counter() - started,
        partitions=proof.partitions(),
        columns=proof.columns(loader.bounds),
        proof_seconds=proof.seconds,
    )
    _check_conservation(unit, receipt)
    return receipt


def _move_rows(unit: Unit, hops: Hops, loader: Loader, proof: Proof) -> Rows:
    rows = Rows()
    for batch in hops.extract.batches(unit.pieces, CALL_BYTES, whole_partitions=hops.whole_partitions):
        try:
            result = hops.transform(batch.table)
            accepted, left_out = hops.accept(result)
            folders = hops.folders(accepted)
            # Before anything else is done with them: what comes after this is proved by it.
            proof.add(accepted, folders)
            loader.add(accepted, folders)
        except RaybackfillError as error:
            error.where = error.where or batch.where
            raise
        rows += _counted(batch, result.num_rows, left_out, accepted.num_rows, hops)
    return rows


def _counted(batch: Batch, rows_made: int, left_out: int, rows_out: int, hops: Hops) -> Rows:
    """Where the rows of one call went. The counts are taken here, outside the job."""
    given = batch.table.num_rows
    fewer, more = max(given - rows_made, 0), max(rows_made - given, 0)
    filtered = batch.rows_filtered + left_out
    if hops.carries:
        return Rows(read=batch.rows_read, filtered=filtered, carried=rows_out)
    if hops.whole_partitions:
        return Rows(read=batch.rows_read, out=rows_out, filtered=filtered, merged=fewer, added=more)
    return Rows(read=batch.rows_read, out=rows_out, filtered=filtered + fewer, added=more)


def _check_conservation(unit: Unit, receipt: Receipt) -> None:
    """Every row is accounted for: this is a check of the hops above, never of the user's job."""
    planned = sum(piece.rows for piece in unit.pieces)
    known = all(piece.rows >= 0 for piece in unit.pieces)
    wrong = miscounts(receipt)
    if known and planned != receipt.rows.read:
        wrong = [*wrong, f"{receipt.rows.read} rows were read of {planned} in the plan"]
    if wrong:
        raise UnitError(
            f"rows are not accounted for: {'; '.join(wrong)}",
            where=unit.id,
            next="this is a defect of raybackfill or of the store: please report it with this line",
        )
