"""What is written down of rows before they are loaded, or after they were read back: the same way."""

from __future__ import annotations

import math
import time
from decimal import Context, Decimal
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as kinds

from raybackfill.control.arrow.text_bounds import Bounds
from raybackfill.flow.digest import digests_of
from raybackfill.model import ColumnFacts, Digest, PartitionProof

TEXT_BOUND_MAX = 64
_INT64_MAX = 2**63 - 1
_DECIMAL128_MAX = 10**38 - 1
# Python's own sums of decimals keep 28 digits, and say nothing of those they drop.
_EXACT = Context(prec=300)


class Proof:
    """Rows by folder with their digests, and facts of columns. Rows may come in any order and parts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._columns: dict[str, _Column] = {}
        self._rows: dict[str, int] = {}
        self._digests: dict[str, Digest] = {}

    def add(self, table: pa.Table, folders: pa.DictionaryArray) -> None:
        """`folders` names the folder of each row."""
        started = time.perf_counter()
        names = folders.dictionary.to_pylist()
        codes = folders.indices.to_numpy()
        counts = [table.num_rows] if len(names) == 1 else np.bincount(codes, minlength=len(names)).tolist()
        digests = digests_of(table, codes, len(names)) if names else []
        for name, count, digest in zip(names, counts, digests, strict=True):
            if count:
                self._rows[name] = self._rows.get(name, 0) + count
                self._digests[name] = self._digests.get(name, Digest()) + digest
        for field, values in zip(table.schema, table.columns, strict=True):
            self._columns.setdefault(field.name, _Column(field.type)).add(values)
        self.seconds += time.perf_counter() - started

    def partitions(self) -> tuple[PartitionProof, ...]:
        return tuple(
            PartitionProof(name, self._rows[name], self._digests[name]) for name in sorted(self._rows)
        )

    def columns(self, bounds: Bounds) -> dict[str, ColumnFacts]:
        """`bounds`: of texts and bytes, from the footers of the files that hold the rows. These have them
        for nothing; to look for them in the rows would cost more than the digest."""
        return {name: column.facts(bounds.get(name)) for name, column in self._columns.items()}


class _Column:
    """Counts nulls; keeps smallest, largest and sum where the type has them. Times are kept as the
    integers they are stored as, because Python's times cannot say all of them."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._is_time = kinds.is_temporal(kind) and not kinds.is_interval(kind)
        self._has_bounds = self._is_time or kinds.is_floating(kind) or _has_sum(kind)
        self._nulls = 0
        self._min: Any = None
        self._max: Any = None
        self._sum: Any = 0

    def add(self, values: pa.ChunkedArray) -> None:
        self._nulls += values.null_count
        if not self._has_bounds or values.null_count == len(values):
            return
        if self._is_time:
            values = values.cast(pa.int32() if self._kind.bit_width == 32 else pa.int64())
        low, high = _least_and_most(values)
        if low is not None:
            self._min = low if self._min is None else min(self._min, low)
            self._max = high if self._max is None else max(self._max, high)
        if _has_sum(self._kind):
            self._sum = _plus(self._sum, _exact_sum(values, low, high))

    def facts(self, text_bounds: tuple[Any, Any] | None) -> ColumnFacts:
        if text_bounds is not None:
            low, high = map(_shown_text, text_bounds)
            return ColumnFacts(self._nulls) if None in (low, high) else ColumnFacts(self._nulls, low, high)
        total = _shown(self._sum) if _has_sum(self._kind) and self._min is not None else None
        return ColumnFacts(self._nulls, self._said(self._min), self._said(self._max), total)

    def _said(self, value: Any) -> Any:
        if value is None or not self._is_time:
            return _shown(value)
        stored = pa.array([value], pa.int32() if self._kind.bit_width == 32 else pa.int64())
        if kinds.is_duration(self._kind):
            return f"{value} {self._kind.unit}"
        # In UTC: a zone's name may be unknown where the receipt is read.
        kind = pa.timestamp(self._kind.unit) if kinds.is_timestamp(self._kind) else self._kind
        return stored.cast(kind).cast(pa.string())[0].as_py()


def _least_and_most(values: pa.ChunkedArray) -> tuple[Any, Any]:
    """None twice where there is none: NaN is no bound."""
    if not kinds.is_floating(values.type):
        found = pc.min_max(values).as_py()
        return found["min"], found["max"]
    parts = [
        chunk.drop_null().to_numpy().astype(np.float64, copy=False) for chunk in values.chunks if len(chunk)
    ]
    # Adding zero leaves one zero of the two.
    lows = [float(np.fmin.reduce(part, initial=np.nan)) + 0.0 for part in parts]
    highs = [float(np.fmax.reduce(part, initial=np.nan)) + 0.0 for part in parts]
    lows, highs = ([value for value in found if not math.isnan(value)] for found in (lows, highs))
    return (min(lows), max(highs)) if lows else (None, None)


def _has_sum(kind: pa.DataType) -> bool:
    return bool(kinds.is_integer(kind) or kinds.is_decimal(kind) or kinds.is_boolean(kind))


def _exact_sum(values: pa.ChunkedArray, low: Any, high: Any) -> Any:
    """The sum as a Python number. pyarrow's sums wrap around without a word, so that it is asked only
    where the bounds say that it cannot come to that."""
    most = max(abs(int(low)), abs(int(high))) + 1
    kind = values.type
    if kinds.is_decimal(kind):
        if most * 10**kind.scale * len(values) < _DECIMAL128_MAX:
            return pc.sum(values.cast(pa.decimal128(38, kind.scale))).as_py()
        return reduce(_plus, (value for value in values.to_pylist() if value is not None))
    if most * len(values) < _INT64_MAX:
        return pc.sum(values).as_py()
    return sum(value for value in values.to_pylist() if value is not None)


def _plus(one: Any, other: Any) -> Any:
    return _EXACT.add(one, other) if isinstance(other, Decimal) else one + other


def _shown(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        # JSON has no infinities.
        return value + 0.0 if math.isfinite(value) else str(value)
    return value


def _shown_text(value: Any) -> str | None:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= TEXT_BOUND_MAX else None
