"""Decides which type a column of texts shows. A guess must lose nothing: what is not surely a
number stays the text it is.

- int64: every value is `0` or digits without leading zeros, perhaps after a minus, and fits. `-0` is
  no integer, because an integer would lose its sign.
- double: every value is such a number, `-0`, or one with digits after a point or a signed exponent
  (`1.5`, `1e-05`, `1.5E8`; not `.5`, `5.`, `12E4`, `NaN`, `inf`), of at most 17 digits that count,
  and no whole number beyond 2^53 that a double would round.
- null: no value at all. Everything else: string. Dates and bools are never guessed.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.sources.text_values import INTEGER, MisfitError, convert

_PLAIN = r"^-?(0|[1-9][0-9]*)(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?$"
_NOT_COUNTING = r"^-?0*\.?0*|[eE].*$|\."
_DOUBLE_DIGITS_MAX = 17


def guess(text: pa.ChunkedArray) -> pa.DataType:
    """The type that all values of the column (string) show."""
    values = pc.unique(text.drop_null())
    if not len(values):
        return pa.null()
    if _all(pc.match_substring_regex(values, INTEGER)):
        return pa.int64() if _fits(values, pa.int64()) else pa.string()
    if not _all(pc.match_substring_regex(values, _PLAIN)) or not _fits(values, pa.float64()):
        return pa.string()
    digits = pc.utf8_length(pc.replace_substring_regex(values, _NOT_COUNTING, ""))
    return pa.float64() if pc.max(digits).as_py() <= _DOUBLE_DIGITS_MAX else pa.string()


def _all(flags: pa.Array) -> bool:
    return bool(pc.all(flags).as_py())


def _fits(values: pa.Array, kind: pa.DataType) -> bool:
    try:
        convert(values, kind, "UTC")
    except MisfitError:
        return False
    return True
