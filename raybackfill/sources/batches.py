"""Decides how a table is cut so that no part is larger than what may be in memory at once."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa


def sliced(table: pa.Table, batch_bytes: int) -> Iterator[pa.Table]:
    """The table's rows in order, in parts of about `batch_bytes` or less (one row at least), without
    copying. A table without rows gives nothing."""
    if not table.num_rows:
        return
    parts = max(-(-table.nbytes // max(batch_bytes, 1)), 1)
    step = max(table.num_rows // parts, 1)
    for start in range(0, table.num_rows, step):
        yield table.slice(start, step)
