"""Decides which instant a date, a local time or a piece of a path stands for, in a zone.

Instants are int64 microseconds since 1970 UTC; local times are `timestamp('us')` without a zone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.errors import SpecError

GRANULARITIES = ("year", "month", "day", "hour", "minute", "second")
EARLIEST_US = -62_135_596_800_000_000
LATEST_US = 253_402_300_799_999_999
"""From 0001-01-01 to the last microsecond of 9999: the times that can be written. Instants beyond are
moved to just outside, which changes no comparison with a bound that can be written."""

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_LOCAL = pa.timestamp("us")
_US_PER_DAY = 86_400_000_000
# Arrow's zones end with the last change that is listed, mostly in 2037; later ones follow a rule
# that only zoneinfo knows.
_ARROW_UNTIL_US = 2_114_380_800_000_000
_LETTERS = {"Y": "year", "m": "month", "d": "day", "H": "hour", "M": "minute", "S": "second"}
_UNPADDED = {"month": "1[0-2]|[1-9]", "day": "3[01]|[12][0-9]|[1-9]", "hour": "2[0-3]|1[0-9]|[0-9]"}
CODES = "%Y %m %d %H %M %S %-m %-d %-H"


@dataclass(frozen=True, slots=True)
class Code:
    """One code of a time's format, such as %m."""

    granularity: str
    unpadded: bool = False

    @property
    def pattern(self) -> str:
        if self.unpadded:
            return _UNPADDED[self.granularity]
        return "[0-9]{4}" if self.granularity == "year" else "[0-9]{2}"

    def text(self, local: datetime) -> str:
        value = getattr(local, self.granularity)
        if self.unpadded:
            return str(value)
        return f"{value:04d}" if self.granularity == "year" else f"{value:02d}"


def parse_format(text: str, piece: str) -> tuple[str | Code, ...]:
    """The literals and codes of a format such as "%Y-%m". SpecError names `piece`."""
    parts: list[str | Code] = []
    position = 0
    while position < len(text):
        width = _code_width(text, position)
        word = text[position : position + width]
        position += width
        if not word.startswith("%"):
            parts.append(word)
            continue
        granularity = _LETTERS.get(word[-1], "")
        if not granularity or (len(word) == 3 and granularity not in _UNPADDED):
            raise SpecError(f"{piece}: {word} is not a code of a time", next=f"use {CODES}")
        parts.append(Code(granularity, len(word) == 3))
    _check_parts(parts, piece)
    return tuple(parts)


def _code_width(text: str, position: int) -> int:
    if text[position] != "%":
        return 1
    return 3 if text[position + 1 : position + 2] == "-" else 2


def _check_parts(parts: Sequence[str | Code], piece: str) -> None:
    if not any(isinstance(part, Code) for part in parts):
        raise SpecError(f"{piece} has no code of a time", next=f"use {CODES}")
    for part, following_part in itertools.pairwise(parts):
        digits = isinstance(following_part, Code) or following_part.isdigit()
        if isinstance(part, Code) and part.unpadded and digits:
            raise SpecError(
                f"{piece}: digits directly after an unpadded {part.granularity} can be read in two ways",
                next="use the padded code, or put a character between them",
            )


def check_zone(name: str) -> str:
    """`name` itself; SpecError where it is not an IANA zone."""
    try:
        ZoneInfo(name)
        pc.local_timestamp(pa.array([0], pa.timestamp("us", name)))
    except (ValueError, KeyError, OSError):
        raise SpecError(
            f"{name!r} is not a time zone", next="write an IANA name such as UTC or Europe/Berlin"
        ) from None
    return name


def to_instants(column: pa.Array, zone: str) -> pa.Array:
    """int64 instants of a date or timestamp array; null stays null.

    A date is the first instant of the zone's day, a naive timestamp is read in the zone, and
    nanoseconds are floored, which changes no comparison with a bound in microseconds. TypeError
    for another type.
    """
    kind = column.type
    if pa.types.is_date(kind):
        return local_to_instants(_dates_to_local(column), zone)
    if not pa.types.is_timestamp(kind):
        raise TypeError(f"{kind} is not a date or a time")
    microseconds = _microseconds(column)
    return microseconds if kind.tz else local_to_instants(microseconds.cast(_LOCAL), zone)


def to_local(column: pa.Array, zone: str) -> pa.Array:
    """Local times of a date or timestamp array: a date is its midnight, a naive timestamp is local
    already, any other is shown in the zone. TypeError for another type."""
    kind = column.type
    if pa.types.is_date(kind):
        return _dates_to_local(column)
    if not pa.types.is_timestamp(kind):
        raise TypeError(f"{kind} is not a date or a time")
    microseconds = _microseconds(column)
    return instants_to_local(microseconds, zone) if kind.tz else microseconds.cast(_LOCAL)


def _dates_to_local(column: pa.Array) -> pa.Array:
    days = column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
    return _clamped(days, _US_PER_DAY).cast(_LOCAL)


def _microseconds(column: pa.Array) -> pa.Array:
    values = column.cast(pa.int64())
    if column.type.unit == "ns":
        whole = pc.divide(values, 1000)
        return pc.subtract(whole, pc.less(values, pc.multiply(whole, 1000)).cast(pa.int64()))
    return _clamped(values, {"s": 1_000_000, "ms": 1000, "us": 1}[column.type.unit])


def _clamped(values: pa.Array, factor: int) -> pa.Array:
    # Two days further out, so that no zone shows a year beyond 9999 as one within.
    lowest = (EARLIEST_US - 2 * _US_PER_DAY) // factor
    highest = (LATEST_US + 2 * _US_PER_DAY) // factor
    bounds = pc.min_max(values)
    if bounds["min"].is_valid and (bounds["min"].as_py() < lowest or bounds["max"].as_py() > highest):
        clipped = pc.max_element_wise(values, pa.scalar(lowest), skip_nulls=False)
        values = pc.min_element_wise(clipped, pa.scalar(highest), skip_nulls=False)
    return pc.multiply(values, factor)


def instants_to_local(instants: pa.Array, zone: str) -> pa.Array:
    """Local times of int64 instants."""

    def quick(values: pa.Array) -> pa.Array:
        return pc.local_timestamp(values.cast(pa.timestamp("us", zone))).cast(pa.int64())

    return _in_zone(instants, quick, lambda value: value + _offset_us(value, ZoneInfo(zone))).cast(_LOCAL)


def local_to_instants(local: pa.Array, zone: str, *, last: bool = False) -> pa.Array:
    """int64 instants of local times: the first (or `last`) of two where the zone has it twice.

    A time that the zone skips is the instant of the change, so that the order is kept.
    """
    ambiguous = "latest" if last else "earliest"

    def quick(values: pa.Array) -> pa.Array:
        zoned = pc.assume_timezone(values.cast(_LOCAL), zone, ambiguous=ambiguous, nonexistent="latest")
        return zoned.cast(pa.int64())

    return _in_zone(local.cast(pa.int64()), quick, lambda value: _resolve(value, ZoneInfo(zone), last))


def _in_zone(
    values: pa.Array, quick: Callable[[pa.Array], pa.Array], exact: Callable[[int], int]
) -> pa.Array:
    late = pc.fill_null(pc.greater_equal(values, _ARROW_UNTIL_US), False)
    if not pc.any(late).as_py():
        return quick(values)
    early = pc.min_element_wise(values, pa.scalar(_ARROW_UNTIL_US), skip_nulls=False)
    replaced = pa.array([exact(value) for value in values.filter(late).to_pylist()], pa.int64())
    return pc.replace_with_mask(quick(early), late, replaced)


def _offset_us(instant: int, zone: ZoneInfo) -> int:
    # A day less than the last, since zoneinfo cannot show a local time beyond 9999.
    moment = _EPOCH + timedelta(microseconds=min(instant, LATEST_US - _US_PER_DAY))
    return _delta_us(moment.replace(tzinfo=UTC).astimezone(zone).utcoffset())


def _resolve(local: int, zone: ZoneInfo, last: bool) -> int:
    moment = _EPOCH + timedelta(microseconds=min(local, LATEST_US - _US_PER_DAY))
    first, second = (local - _delta_us(moment.replace(tzinfo=zone, fold=fold).utcoffset()) for fold in (0, 1))
    if first <= second:
        return second if last else first
    offset = _offset_us(first, zone)
    while first - second > 1:
        middle = (first + second) // 2
        first, second = (middle, second) if _offset_us(middle, zone) == offset else (first, middle)
    return first


def _delta_us(delta: timedelta | None) -> int:
    return (delta or timedelta()) // _MICROSECOND


def floor_local(local: pa.Array, granularity: str) -> pa.Array:
    """The beginning of the local year, month, .. second that each time lies in."""
    return pc.floor_temporal(local, unit=granularity)


def next_local(local: pa.Array, granularity: str) -> pa.Array:
    """The beginning of the next local year, month, .. second after each time."""
    return pc.ceil_temporal(local, unit=granularity, ceil_is_strictly_greater=True)


def intervals_of(local: pa.Array, granularity: str, zone: str) -> tuple[pa.Array, pa.Array]:
    """First instant and end (exclusive) of the unit of time around each local time.

    All instants that can be written with these pieces lie within: both of an hour that the zone has
    twice; of one that it skips only the instant of the change, which a naive time in it stands for.
    """
    last = pc.subtract(next_local(local, granularity).cast(pa.int64()), 1).cast(_LOCAL)
    starts = local_to_instants(floor_local(local, granularity), zone)
    return starts, pc.add(local_to_instants(last, zone, last=True), 1)


def interval_of(local: datetime, granularity: str, zone: str) -> tuple[int, int]:
    """`intervals_of` one local time."""
    starts, ends = intervals_of(pa.array([local], _LOCAL), granularity, zone)
    return starts[0].as_py(), ends[0].as_py()


def locals_between(start: int, end: int, granularity: str, zone: str, limit: int) -> pa.Array | None:
    """Beginnings of the local units that may overlap [start, end), but for those that the zone skips;
    a day more on each side, since local time goes back where clocks do. None for more than `limit`."""
    unit = {"year": "Y", "month": "M", "day": "D", "hour": "h", "minute": "m", "second": "s"}[granularity]
    bounds = np.array([start - _US_PER_DAY, max(start, end) + _US_PER_DAY]).astype("datetime64[us]")
    first, last = bounds.astype(f"datetime64[{unit}]").astype(np.int64).tolist()
    if last - first > limit:
        return None
    beginnings = np.arange(first, last + 1).astype(f"datetime64[{unit}]").astype("datetime64[us]")
    local = pa.array(beginnings, _LOCAL)
    shown = instants_to_local(local_to_instants(local, zone), zone)
    return local.filter(pc.equal(floor_local(shown, granularity), local))


def day_bounds(day: date, zone: str) -> tuple[int, int]:
    """First instant of the zone's day, and of the day after: 23, 24 or 25 hours."""
    midnights = pa.array([datetime(day.year, day.month, day.day)], _LOCAL)
    start = local_to_instants(midnights, zone)[0].as_py()
    end = local_to_instants(next_local(midnights, "day"), zone)[0].as_py()
    return start, end


def following(instant: int, granularity: str, zone: str) -> int:
    """The instant at which the next year, month, .. second of the zone begins."""
    upcoming = next_local(instants_to_local(pa.array([instant], pa.int64()), zone), granularity)
    first: int = local_to_instants(upcoming, zone)[0].as_py()
    return first if first > instant else int(local_to_instants(upcoming, zone, last=True)[0].as_py())


def local_of(pieces: Mapping[str, pa.Array]) -> pa.Array:
    """Local times of integer pieces by granularity (year always); null where a piece is null or no
    such time exists (month 13, February 31, second 60)."""
    valid = np.ones(len(pieces["year"]), dtype=bool)
    numbers: dict[str, np.ndarray] = {}
    for granularity, column in pieces.items():
        valid &= column.is_valid().to_numpy(zero_copy_only=False)
        numbers[granularity] = pc.fill_null(column, 1).cast(pa.int64()).to_numpy()
    month, day = numbers.get("month", 1), numbers.get("day", 1)
    months = ((numbers["year"] - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - np.int64(1))
    valid &= (numbers["year"] >= 1) & (month >= 1) & (month <= 12)
    valid &= (days.astype("datetime64[M]") == months) & (day >= 1)
    instants = days.astype("datetime64[us]")
    for granularity, limit, width in (("hour", 24, 3600), ("minute", 60, 60), ("second", 60, 1)):
        number = numbers.get(granularity, np.int64(0))
        valid &= number < limit
        instants = instants + (number * np.int64(width * 1_000_000)).astype("timedelta64[us]")
    return pa.array(instants, _LOCAL, mask=~valid)


def joined(numbers: Sequence[tuple[str, pa.Array]]) -> tuple[dict[str, pa.Array], pa.Array]:
    """Pieces by granularity, and where those that are written twice agree (nulls do not)."""
    pieces: dict[str, pa.Array] = {}
    agree: pa.Array = pa.repeat(True, len(numbers[0][1]) if numbers else 1)
    for granularity, column in numbers:
        if granularity in pieces:
            agree = pc.and_(agree, pc.fill_null(pc.equal(pieces[granularity], column), False))
        pieces.setdefault(granularity, column)
    return pieces, agree


def format_local(parts: Sequence[str | Code], local: datetime) -> str:
    """The text that a format gives for a local time."""
    return "".join(part if isinstance(part, str) else part.text(local) for part in parts)


def finest(granularities: Collection[str]) -> str:
    """The shortest of these units of time."""
    return max(granularities, key=GRANULARITIES.index)


def known_chain(granularities: Collection[str]) -> tuple[str, ...]:
    """The pieces that, beginning with the year and without a hole, say which unit of time it is."""
    chain: list[str] = []
    for granularity in GRANULARITIES:
        if granularity not in granularities:
            break
        chain.append(granularity)
    return tuple(chain)
