"""Decides which instant a date or a time means in a zone; what is not one instant is refused."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from raybackfill.errors import SpecError
from raybackfill.spec.nodes import shown
from raybackfill.spec.scalars import timezone as known_zone
from raybackfill.spec.values import Moment

MOMENT = (
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?\s?(Z|[+-]\d\d:?\d\d)?)?"
)

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def read_moment(text: str, timezone: str) -> Moment:
    """The instant of a date (the first of the zone's day) or of a time, with an offset or without.

    SpecError: not a date or a time, or a time that the zone skips or has twice.
    """
    match = re.fullmatch(MOMENT, text, re.ASCII)
    if match is None:
        raise SpecError(
            f"{shown(text)} is not a date or a time",
            next="write YYYY-MM-DD or YYYY-MM-DDTHH:MM[:SS], with an offset such as +02:00 or Z if you like",
        )
    day, clock, seconds, fraction, offset = match.groups()
    midnight = _date(day)
    zone = ZoneInfo(known_zone(timezone))
    if clock is None:
        return Moment(_first_instant(midnight, zone), text, is_date=True)
    local = _time(midnight, text, clock, seconds or "00", fraction or "")
    if offset is not None:
        return Moment(_micros(local, _offset(offset, text)), text, is_date=False)
    _refuse_skipped_or_twice(local, zone, text)
    return Moment(_micros(local, _zone_offset(local, zone, fold=0)), text, is_date=False)


def _date(day: str) -> datetime:
    try:
        return datetime.strptime(day, "%Y-%m-%d")
    except ValueError:
        raise SpecError(f"{day} is not a date", next="write YYYY-MM-DD") from None


def _time(midnight: datetime, text: str, clock: str, seconds: str, fraction: str) -> datetime:
    hour, minute = clock.split(":")
    try:
        return midnight.replace(
            hour=int(hour), minute=int(minute), second=int(seconds), microsecond=int(fraction.ljust(6, "0"))
        )
    except ValueError:
        raise SpecError(f"{shown(text)} is not a time", next="write it like 2025-04-01T23:59") from None


def _offset(offset: str, text: str) -> timedelta:
    if offset == "Z":
        return timedelta(0)
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > 23 or minutes > 59:
        raise SpecError(f"{shown(text)} has no such offset: {offset}", next="write it like +02:00 or Z")
    distance = timedelta(hours=hours, minutes=minutes)
    return -distance if offset[0] == "-" else distance


def _micros(local: datetime, offset: timedelta) -> int:
    """Arithmetic on durations, so that no zone pushes the first or the last year over an edge."""
    return (local - _EPOCH - offset) // _MICROSECOND


def _zone_offset(local: datetime, zone: ZoneInfo, *, fold: int) -> timedelta:
    """What the zone adds to UTC at a local time. In a gap, fold 0 gives the offset before it."""
    offset = local.replace(tzinfo=zone, fold=fold).utcoffset()
    assert offset is not None
    return offset


def _first_instant(midnight: datetime, zone: ZoneInfo) -> int:
    before = _zone_offset(midnight, zone, fold=0)
    after = _zone_offset(midnight, zone, fold=1)
    if before >= after:
        # Midnight exists; where it occurs twice, fold 0 is the first.
        return _micros(midnight, before)
    # Midnight is skipped: the day begins where the clocks change, which is after one of these
    # bounds and not after the other (a change at 23:30 skips midnight too).
    low, high = _micros(midnight, after) // 1_000_000, _micros(midnight, before) // 1_000_000
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high * 1_000_000


def _offset_at(second: int, zone: ZoneInfo) -> timedelta:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    assert offset is not None
    return offset


def _refuse_skipped_or_twice(local: datetime, zone: ZoneInfo, text: str) -> None:
    first = _zone_offset(local, zone, fold=0)
    second = _zone_offset(local, zone, fold=1)
    if first == second:
        return
    stem = text.rstrip().replace(" ", "T")
    written = [f"{stem}{_shown_offset(offset)}" for offset in (first, second)]
    if first > second:
        raise SpecError(
            f"{shown(text)} occurs twice in {zone.key}, "
            f"at {_shown_offset(first)} and {_shown_offset(second)}",
            next=f"write {written[0]} (the first) or {written[1]} (the second)",
        )
    raise SpecError(
        f"{shown(text)} does not exist in {zone.key}, "
        f"whose clocks go from {_shown_offset(first)} to {_shown_offset(second)} there",
        next=f"write {written[0]} (as if they did not) or {written[1]}",
    )


def _shown_offset(offset: timedelta) -> str:
    """Like +02:00. Offsets of the 19th century have seconds, which no written offset can carry."""
    total = int(offset.total_seconds())
    sign, total = ("-", -total) if total < 0 else ("+", total)
    return f"{sign}{total // 3600:02d}:{total % 3600 // 60:02d}"
