"""Decides quickly whether texts are ASCII: most are, and then they need not be looked at letter by letter."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyarrow import types as kinds


def is_ascii(column: pa.ChunkedArray) -> bool:
    """Whether all bytes of its texts are. False also where they do not lie in one row (views, nested)."""
    return all(map(_is_ascii, column.chunks))


def _is_ascii(texts: pa.Array) -> bool:
    if not (kinds.is_string(texts.type) or kinds.is_large_string(texts.type)):
        return False
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return True
    width = np.int64 if kinds.is_large_string(texts.type) else np.int32
    bounds = np.frombuffer(offsets, width, len(texts) + 1, texts.offset * np.dtype(width).itemsize)
    letters = np.frombuffer(data, np.int8, int(bounds[-1] - bounds[0]), int(bounds[0]))
    # As signed numbers, bytes beyond ASCII are negative.
    return not len(letters) or bool(letters.min() >= 0)
