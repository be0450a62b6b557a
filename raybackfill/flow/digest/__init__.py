"""Rows -> an additive proof of content: the sum of a 64-bit hash of each row.

A row's hash depends on its columns' names and values and on nothing else: not on the order of columns,
on how a type lies in memory (views, dictionaries, widths of offsets), on where its files end or who
wrote them. The sum is taken over 2**128, so that the digests of parts add up to that of the whole.

A sum, never an XOR: a row that stands there twice would cancel itself. It notices accidents (a row
lost, doubled or mixed up passes with a chance of about 2**-64). It is no proof against somebody who
wants to deceive: the hash has no key, and whoever may choose rows can find others of the same sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raybackfill.flow.digest.mixing import U64, constant, finished, folded, multiplier
from raybackfill.flow.digest.words import words_of
from raybackfill.model import Digest

# A column's part of so many rows stays in a core's cache while it is mixed in.
BLOCK_ROWS = 16_384
# Tables in many small chunks are brought together: each chunk costs as much as some thousand rows.
CHUNK_ROWS_MIN = 4_096
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

Groups = npt.NDArray[np.integer[Any]]


def row_hashes(table: pa.Table) -> U64:
    """The hash of each row. TypeError names a type that has no canonical form (unions)."""
    blocks = [block.copy() for block in _blocks(table)]
    return np.concatenate(blocks) if blocks else np.empty(0, np.uint64)


def digest_of(table: pa.Table) -> Digest:
    """TypeError names a type that has no canonical form (unions)."""
    return digests_of(table, None, 1)[0]


def digests_of(table: pa.Table, groups: Groups | None, count: int) -> list[Digest]:
    """The digest of each group's rows. `groups` says of each row to which it belongs, from 0 on; None
    where there is only one."""
    sums, start = [0] * count, 0
    for block in _blocks(table):
        low, high = block & _LOW, block >> _HALF
        if groups is None or count == 1:
            found = [int(low.sum()) + (int(high.sum()) << 32)]
        else:
            # Halves of so few hashes add up in a double without loss.
            theirs = groups[start : start + len(block)]
            lows, highs = (np.bincount(theirs, half.astype(np.float64), count) for half in (low, high))
            found = [int(a) + (int(b) << 32) for a, b in zip(lows, highs, strict=True)]
        sums = [before + more for before, more in zip(sums, found, strict=True)]
        start += len(block)
    return [Digest(value) for value in sums]


def _batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    chunks = max((column.num_chunks for column in table.columns), default=1)
    if table.num_columns and chunks * CHUNK_ROWS_MIN > table.num_rows:
        table = table.combine_chunks()
    return iter(table.to_batches())


def _blocks(table: pa.Table) -> Iterator[U64]:
    """The rows' hashes, a block at a time; a block is overwritten by the next one."""
    hashes, scratch = np.empty(BLOCK_ROWS, np.uint64), np.empty(BLOCK_ROWS, np.uint64)
    for batch in _batches(table):
        names = batch.schema.names
        order = sorted(range(batch.num_columns), key=lambda index: names[index])
        columns = [(multiplier(names[index]), words_of(batch.column(index))) for index in order]
        for start in range(0, batch.num_rows, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, batch.num_rows)
            block = hashes[: stop - start]
            block.fill(constant("row"))
            for factor, words in columns:
                np.bitwise_xor(block, words(start, stop), out=block)
                folded(block, factor, scratch)
            yield finished(block, scratch)
