"""Decides when two values of two answers are the same: in one type where there is one, else by value.

A float counts as the shortest decimal that names it, as a person reads it: 0.1 is 0.1, whether it came
as a float, a double or a decimal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as kinds

from raybackfill.errors import SpecError

# As Python objects, so many values at once are some megabytes.
SLICE_ROWS = 20_000
SHOWN_MAX = 200
_DECIMAL128_DIGITS, _DECIMAL256_DIGITS = 38, 76
# More digits than the difference of two doubles or decimals can have: nothing is ever rounded.
_EXACT = Context(prec=2000, Emax=MAX_EMAX, Emin=MIN_EMIN)
_NUMBER = "a number"

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two numbers may be apart: an amount, or a share of the larger one."""

    amount: Decimal
    is_share: bool

    @classmethod
    def read(cls, text: str) -> Tolerance:
        """Of "0", "0.01" or "0.1%"."""
        if text.endswith("%"):
            return cls(Decimal(text[:-1]) / 100, True)
        return cls(Decimal(text), False)

    def allows(self, one: Any, other: Any) -> bool:
        """Whether two numbers agree. A null agrees with a null, NaN with NaN, an infinity with itself."""
        if one is None or other is None:
            return one is other
        one, other = exact(one), exact(other)
        if not (one.is_finite() and other.is_finite()):
            return bool(one == other or (one.is_nan() and other.is_nan()))
        apart = _EXACT.subtract(one, other).copy_abs()
        larger = max(one.copy_abs(), other.copy_abs())
        return apart <= (_EXACT.multiply(self.amount, larger) if self.is_share else self.amount)


def exact(number: Any) -> Decimal:
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def paired(name: str, source: pa.ChunkedArray, target: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Both columns in plain types: in one and the same, but for numbers that have none in common. SpecError
    where they hold things that cannot be compared."""
    one, other = _plain(name, source), _plain(name, target)
    if kinds.is_null(one.type) or kinds.is_null(other.type):
        return _typed_nulls(one, other)
    nouns = _noun(one.type), _noun(other.type)
    if nouns[0] != nouns[1]:
        raise SpecError(
            f"column {name} is {nouns[0]} in the source and {nouns[1]} in the target",
            next=f"cast one of the two in its query, such as {name}::varchar as {name}",
        )
    if one.type == other.type:
        return one, other
    if nouns[0] == _NUMBER:
        kind = _common_number(one.type, other.type)
        return (one, other) if kind is None else (one.cast(kind), other.cast(kind))
    return _in_nanoseconds(name, one), _in_nanoseconds(name, other)


def differing(one: pa.Array, other: pa.Array, tolerance: Tolerance) -> Flags:
    """For each row of two columns that are paired, whether its two values disagree."""
    is_number = one.type != other.type or _noun(one.type) == _NUMBER
    wrong = np.ones(len(one), np.bool_) if one.type != other.type else ~_identical(one, other)
    if not is_number or (one.type == other.type and not tolerance.amount):
        return wrong
    candidates = np.flatnonzero(wrong)
    for start in range(0, len(candidates), SLICE_ROWS):
        rows = candidates[start : start + SLICE_ROWS]
        values = zip(one.take(rows).to_pylist(), other.take(rows).to_pylist(), strict=True)
        wrong[rows] = [not tolerance.allows(a, b) for a, b in values]
    return wrong


def codes_of(one: pa.Array, other: pa.Array) -> tuple[npt.NDArray[np.int64], int]:
    """A number for each value of both columns, one after the other: equal values have equal numbers. And
    how many there are."""
    if one.type == other.type:
        encoded = pa.concat_arrays([one, other]).dictionary_encode("encode")
        return encoded.indices.to_numpy().astype(np.int64), len(encoded.dictionary)
    known: dict[Any, int] = {}
    codes = [known.setdefault(value, len(known)) for column in (one, other) for value in _by_value(column)]
    return np.array(codes, np.int64), len(known)


def shown(values: pa.Array, row: int) -> Any:
    """A value of a plain column as JSON has it; long ones are cut."""
    value = values[row].as_py() if not kinds.is_temporal(values.type) else None
    if kinds.is_temporal(values.type):
        value = values.slice(row, 1).cast(pa.string())[0].as_py()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, bytes):
        value = value.hex()
    return f"{value[:SHOWN_MAX]}.." if isinstance(value, str) and len(value) > SHOWN_MAX else value


def _identical(one: pa.Array, other: pa.Array) -> Flags:
    same = pc.fill_null(pc.equal(one, other), False)
    same = pc.or_(same, pc.and_(one.is_null(), other.is_null()))
    if kinds.is_floating(one.type):
        same = pc.or_(same, pc.fill_null(pc.and_(pc.is_nan(one), pc.is_nan(other)), False))
    flags: Flags = same.to_numpy(zero_copy_only=False)
    return flags


def _by_value(column: pa.Array) -> Iterator[Any]:
    """Numbers of any type so that equal ones are equal to a dict: Python's integers and decimals are."""
    for start in range(0, len(column), SLICE_ROWS):
        for value in column.slice(start, SLICE_ROWS).to_pylist():
            if not isinstance(value, float):
                yield value
            else:
                yield "nan" if value != value else exact(value)


def _plain(name: str, column: pa.ChunkedArray) -> pa.Array:
    """One array in the one type that stands for all of its kind."""
    kind = column.type
    if kinds.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if kinds.is_float32(kind):
        column = column.cast(pa.string())
    values = _one_array(column.cast(_wider(name, kind)))
    if kinds.is_floating(values.type):
        # There is one zero.
        return pc.add(values, 0.0)
    if kinds.is_uint64(values.type) or (kinds.is_decimal(values.type) and values.type.scale <= 0):
        return _narrowed(values, pa.int64())
    if (kinds.is_timestamp(values.type) or kinds.is_duration(values.type)) and values.type.unit == "ns":
        return _narrowed(values, _in_unit(values.type, "us"))
    return values


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _narrowed(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """In the smaller type, if all values have their place in it."""
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return values


def _wider(name: str, kind: pa.DataType) -> pa.DataType:
    for belongs, wide in _WIDE:
        if belongs(kind):
            return wide
    if kinds.is_timestamp(kind) or kinds.is_duration(kind):
        return _in_unit(kind, "ns" if kind.unit == "ns" else "us")
    if kinds.is_decimal(kind) and not kinds.is_decimal256(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if kinds.is_uint64(kind) or kinds.is_decimal256(kind) or kinds.is_null(kind):
        return kind
    raise SpecError(
        f"column {name} is {kind}, which is no plain value that could be compared",
        next="leave it out of both queries, or cast it to varchar in both",
    )


_WIDE = (
    (kinds.is_boolean, pa.bool_()),
    (lambda kind: kinds.is_integer(kind) and not kinds.is_uint64(kind), pa.int64()),
    (kinds.is_floating, pa.float64()),
    (lambda kind: kinds.is_string(kind) or kinds.is_large_string(kind), pa.large_string()),
    (kinds.is_string_view, pa.large_string()),
    (lambda kind: kinds.is_binary(kind) or kinds.is_large_binary(kind), pa.large_binary()),
    (lambda kind: kinds.is_fixed_size_binary(kind) or kinds.is_binary_view(kind), pa.large_binary()),
    (kinds.is_date, pa.date32()),
    (kinds.is_time, pa.time64("ns")),
)


def _common_number(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """A decimal that holds all numbers of both types. None where there is none: doubles have another way
    to be exact."""
    if kinds.is_floating(one) or kinds.is_floating(other):
        return None
    digits = [(kind.precision, kind.scale) if kinds.is_decimal(kind) else (20, 0) for kind in (one, other)]
    scale = max(0, *(scale for _, scale in digits))
    precision = scale + max(precision - scale for precision, scale in digits)
    if precision <= _DECIMAL128_DIGITS:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale) if precision <= _DECIMAL256_DIGITS else None


def _in_unit(kind: pa.DataType, unit: str) -> pa.DataType:
    if kinds.is_duration(kind):
        return pa.duration(unit)
    return pa.timestamp(unit, None if kind.tz is None else "UTC")


def _in_nanoseconds(name: str, values: pa.Array) -> pa.Array:
    try:
        return values.cast(_in_unit(values.type, "ns"))
    except pa.ArrowInvalid as error:
        raise SpecError(
            f"column {name} has times in nanoseconds on one side, and on the other one beyond what these "
            "can say",
            next=f"cast it to microseconds in both queries: {name}::timestamp as {name}",
        ) from error


def _typed_nulls(one: pa.Array, other: pa.Array) -> tuple[pa.Array, pa.Array]:
    """A column of nothing but nulls has no type: it takes the other's."""
    kind = other.type if kinds.is_null(one.type) else one.type
    kind = pa.bool_() if kinds.is_null(kind) else kind
    return one.cast(kind), other.cast(kind)


def _noun(kind: pa.DataType) -> str:
    if kinds.is_timestamp(kind):
        return "a time without a zone" if kind.tz is None else "a time with a zone"
    return next((noun for belongs, noun in _NOUNS if belongs(kind)), _NUMBER)


_NOUNS = (
    (kinds.is_boolean, "true or false"),
    (kinds.is_large_string, "text"),
    (kinds.is_large_binary, "bytes"),
    (kinds.is_date, "a date"),
    (kinds.is_time, "a time of day"),
    (kinds.is_duration, "a duration"),
)
