"""Decides what a text says as a value of an Arrow type: exactly that, or it is refused.

What is read, by wanted type; anything else is refused with the value, its column and its row:

- integers: `0`, `-5`, `42`. Not `08`, `+5`, `-0`, `1_000`, `0x1`, `1.0`, ` 1`: their text would be lost.
- doubles: `1`, `1.5`, `.5`, `5.`, `1e5`, and `NaN`, `inf`, `-inf` in the spellings that Arrow knows.
  Not `08.5` or `+5`, not what overflows to infinity, and no whole number that a double rounds.
- decimals: the same digits without loss, never by way of a float. `1.10` and `1.1` are one value.
- bool: `true`, `false` (in any case), `1`, `0`. date: `2020-01-31`. time: `22:30`, `22:30:00.5`.
- timestamp without a zone: `2020-01-31`, `2020-01-31 22:30`, `2020-01-31T22:30:00.5`; no offset.
- timestamp with a zone: the same with `Z` or an offset; without one it is read in the source's
  time zone, and refused where that zone skips the time or has it twice.
- binary: the bytes of the text in UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as kinds

from raybackfill.control.arrow import widening
from raybackfill.control.planning.aligning import first_misfit
from raybackfill.errors import UnitError

INTEGER = r"^(0|-?[1-9][0-9]*)$"
NUMBER = r"^-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_SPECIAL = r"^(-?([Ii]nf(inity)?|INF)|-?[Nn][Aa][Nn])$"
_OFFSET = r"[T ][0-9:.]+(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_EXACT_MAX = 2.0**53
_FRACTION_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


class MisfitError(ValueError):
    """The text at `index` is not a value of the wanted type; `reason` says why, if more is known."""

    def __init__(self, index: int, value: str, reason: str = "") -> None:
        super().__init__(index, value, reason)
        self.index = index
        self.value = value
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Place:
    """Where values stand: the object's key, the column, and how many of the object's rows precede."""

    key: str
    column: str
    rows_before: int = 0


def read_column(text: pa.Array, wanted: pa.DataType, timezone: str, place: Place) -> pa.Array:
    """The texts (string, nulls stay null) as `wanted`; UnitError names the first that is no such value."""
    try:
        return convert(text, wanted, timezone)
    except MisfitError as misfit:
        row = place.rows_before + misfit.index + 1
        raise refused(place, repr(misfit.value), str(wanted), f"row {row}", misfit.reason) from None


def refused(place: Place, value: str, wanted: str, where: str, reason: str = "") -> UnitError:
    """The error for one value (as it is to be shown) that is not a `wanted` without loss."""
    why = f" ({reason})" if reason else ""
    return UnitError(
        f"{value} in column {place.column} ({where}) is not {wanted} without loss{why}",
        where=place.key,
        next=f"add source.schema: {{{place.column}: string}}, or the type that all values have",
    )


def convert(text: pa.Array, wanted: pa.DataType, timezone: str) -> pa.Array:
    """The texts as `wanted`, same length; MisfitError for the first that is not exactly such a value."""
    if text.type.equals(wanted):
        return text
    if kinds.is_dictionary(wanted):
        return convert(text, wanted.value_type, timezone).dictionary_encode().cast(wanted)
    for belongs, read in _READERS:
        if belongs(wanted):
            return read(text, wanted, timezone)
    if len(text) == text.null_count:
        return pa.nulls(len(text), wanted)
    raise _first(text, pc.is_valid(text), "no text is read as this type")


def _first(text: pa.Array, bad: pa.Array, reason: str = "") -> MisfitError:
    index = pc.index(bad, True).as_py()
    return MisfitError(index, text[index].as_py(), reason)


def _demand(text: pa.Array, good: pa.Array, reason: str = "") -> None:
    """Each value must be good; null (of a null text) counts as good."""
    if not pc.all(good, skip_nulls=True, min_count=0).as_py():
        raise _first(text, pc.invert(good), reason)


def _parse(text: pa.Array, read: Callable[[pa.Array], pa.Array], reason: str = "") -> pa.Array:
    """What `read` makes of the texts; where Arrow refuses, the first text that it refuses is named."""
    try:
        return read(text)
    except pa.ArrowInvalid:
        index = first_misfit(len(text), lambda start, size: _reads(text.slice(start, size), read))
        raise MisfitError(index, text[index].as_py(), reason) from None


def _reads(text: pa.Array, read: Callable[[pa.Array], pa.Array]) -> bool:
    try:
        read(text)
    except pa.ArrowInvalid:
        return False
    return True


def _texts(text: pa.Array, wanted: pa.DataType, timezone: str) -> pa.Array:
    return _parse(text, lambda part: part.cast(pa.binary()).cast(wanted))


def _integers(text: pa.Array, wanted: pa.DataType, timezone: str) -> pa.Array:
    numbers = _parse(text, lambda part: part.cast(wanted))
    # A number that is written as it was read had no zeros, signs or prefixes to lose.
    _demand(text, pc.equal(numbers.cast(text.type), text))
    return numbers


def _doubles(text: pa.Array, wanted: pa.DataType, timezone: str) -> pa.Array:
    plain = pc.match_substring_regex(text, NUMBER)
    if not pc.all(plain, skip_nulls=True, min_count=0).as_py():
        _demand(text, pc.or_(plain, pc.match_substring_regex(text, _SPECIAL)))
    numbers = _parse(text, lambda part: part.cast(pa.float64()))
    _demand(text, pc.or_(pc.is_finite(numbers), pc.invert(plain)), "it is too large for a double")
    _demand_exact(text, numbers)
    return numbers if kinds.is_float64(wanted) else _narrow(text, numbers, wanted)


def _narrow(text: pa.Array, numbers: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Floats of fewer bits: the nearest one, as a text means it, but no infinity."""
    narrow = numbers.cast(wanted)
    _demand(text, pc.equal(pc.is_inf(narrow), pc.is_inf(numbers)), f"it is too large for {wanted}")
    return narrow


def _demand_exact(text: pa.Array, numbers: pa.Array) -> None:
    """A whole number beyond 2^53 must be one that a double can be: it may be a key."""
    large = pc.and_(pc.greater_equal(pc.abs(numbers), _EXACT_MAX), pc.match_substring_regex(text, INTEGER))
    if not pc.any(large, skip_nulls=True, min_count=0).as_py():
        return
    for index in pc.indices_nonzero(pc.fill_null(large, False)).to_pylist():
        if int(text[index].as_py()) != int(numbers[index].as_py()):
            raise MisfitError(index, text[index].as_py(), "a double would round it")


def _decimals(text: pa.Array, wanted: pa.DataType, timezone: str) -> pa.Array:
    _demand(text, pc.match_substring_regex(text, NUMBER))
    wide = pa.decimal256 if wanted.bit_width == 256 else pa.decimal128
    reason = f"it needs more digits than {wanted.precision} with {wanted.scale} after the point"
    numbers = _parse(text, lambda part: part.cast(wide(wanted.precision, wanted.scale)), reason)
    return numbers.cast(wanted)


def _bools(text: pa.Array, wanted: pa.DataType, timezone: str) -> pa.Array:
    return _parse(text, lambda part: part.cast(wanted))


def _dates(text: pa.Array, wanted: pa.DataType, timezone: str) -> pa.Array:
    return _parse(text, lambda part: part.cast(pa.date32())).cast(wanted)


def _times(text: pa.Array, wanted: pa.DataType, timezone: str) -> pa.Array:
    moment = pa.timestamp(wanted.unit)
    _demand(text, pc.match_substring_regex(text, r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?$"))
    return _parse(text, lambda part: _moments(_on_first_day(part), moment)).cast(wanted)


def _on_first_day(text: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise("1970-01-01", text, "T")


def _timestamps(text: pa.Array, wanted: pa.DataType, timezone: str) -> pa.Array:
    naive = pa.timestamp(wanted.unit)
    if wanted.tz is None:
        return _parse(text, lambda part: _moments(part, naive))
    offset = pc.match_substring_regex(text, _OFFSET)
    if pc.all(offset, skip_nulls=True, min_count=0).as_py():
        return _parse(text, lambda part: _moments(part, wanted))
    none = pa.scalar(None, text.type)
    instants = _parse(pc.if_else(offset, text, none), lambda part: _moments(part, wanted))
    local = _parse(pc.if_else(offset, none, text), lambda part: _moments(part, naive))
    reason = f"{timezone} skips this time or has it twice; write an offset"
    placed = _in_zone(text, local, timezone, reason).cast(wanted)
    return pc.if_else(pc.fill_null(offset, False), instants, placed)


def _in_zone(text: pa.Array, local: pa.Array, timezone: str, reason: str) -> pa.Array:
    def read(part: pa.Array) -> pa.Array:
        return pc.assume_timezone(part, timezone)

    try:
        return read(local)
    except pa.ArrowInvalid:
        index = first_misfit(len(local), lambda start, size: _reads(local.slice(start, size), read))
        raise MisfitError(index, text[index].as_py(), reason) from None


def _moments(text: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Arrow's own reading. It refuses more digits than the unit has, even if they are zeros, so
    these are cut off before it is asked again."""
    try:
        return text.cast(wanted)
    except pa.ArrowInvalid:
        digits = _FRACTION_DIGITS[wanted.unit]
        pattern = rf"(\.[0-9]{{{digits}}})0+(Z|[+-].*)?$"
        shorter = pc.replace_substring_regex(text, pattern, r"\1\2" if digits else r"\2")
        return shorter.cast(wanted)


_Reader = Callable[[pa.Array, pa.DataType, str], pa.Array]

_READERS: tuple[tuple[Callable[[pa.DataType], bool], _Reader], ...] = (
    (lambda kind: widening.is_text(kind) or widening.is_bytes(kind), _texts),
    (kinds.is_integer, _integers),
    (kinds.is_floating, _doubles),
    (kinds.is_decimal, _decimals),
    (kinds.is_boolean, _bools),
    (kinds.is_date, _dates),
    (kinds.is_timestamp, _timestamps),
    (kinds.is_time, _times),
)
