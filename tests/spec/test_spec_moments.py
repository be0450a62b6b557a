"""Moments: the instant of a date or a time, zone by zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.errors import SpecError
from raybackfill.spec import Moment, read_moment


def instant(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2025-04-01", "UTC", "2025-04-01T00:00:00+00:00"),
        ("2025-04-01", "Europe/Berlin", "2025-03-31T22:00:00+00:00"),
        ("2025-01-01", "Asia/Kolkata", "2024-12-31T18:30:00+00:00"),
        # Clocks went from 00:00 to 01:00: the day begins at 01:00.
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T01:00:00-02:00"),
        # Clocks went from 23:30 of the day before to 00:30.
        ("1919-03-31", "America/Toronto", "1919-03-31T00:30:00-04:00"),
        # Clocks went back from 01:00 to 00:00: the first of two midnights.
        ("2023-11-05", "America/Havana", "2023-11-05T00:00:00-04:00"),
        # The whole day was left out when the date line moved.
        ("2011-12-30", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
        ("0001-01-01", "UTC", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31", "UTC", "9999-12-31T00:00:00+00:00"),
    ],
)
def test_a_date_is_the_first_instant_of_the_zones_day(text: str, zone: str, expected: str) -> None:
    assert read_moment(text, zone) == Moment(instant(expected), text, is_date=True)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "9999-12-31T23:59:59.999999"])
def test_the_first_and_the_last_year_go_over_no_edge(text: str, zone: str) -> None:
    naive = read_moment(text, "UTC").instant
    assert 0 < abs(read_moment(text, zone).instant - naive) < 24 * 3600 * 10**6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-04-01T06:00", "2025-04-01T06:00:00+02:00"),
        ("2025-04-01 06:00:00", "2025-04-01T06:00:00+02:00"),
        ("2025-04-01T06:00:07.25", "2025-04-01T06:00:07.250000+02:00"),
        ("2025-04-01T06:00Z", "2025-04-01T06:00:00+00:00"),
        ("2025-04-01 06:00 Z", "2025-04-01T06:00:00+00:00"),
        ("2025-04-01T06:00-0330", "2025-04-01T06:00:00-03:30"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999+00:00"),
        ("2025-10-26T02:30+01:00", "2025-10-26T01:30:00+00:00"),
    ],
)
def test_a_time_may_carry_an_offset(text: str, expected: str) -> None:
    assert read_moment(text, "Europe/Berlin") == Moment(instant(expected), text, is_date=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "2025-03-30 02:30",
            "'2025-03-30 02:30' does not exist in Europe/Berlin, "
            "whose clocks go from +01:00 to +02:00 there; "
            "write 2025-03-30T02:30+01:00 (as if they did not) or 2025-03-30T02:30+02:00",
        ),
        (
            "2025-10-26T02:30",
            "2025-10-26T02:30 occurs twice in Europe/Berlin, at +02:00 and +01:00; "
            "write 2025-10-26T02:30+02:00 (the first) or 2025-10-26T02:30+01:00 (the second)",
        ),
    ],
)
def test_a_time_that_is_not_one_instant(text: str, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_moment(text, "Europe/Berlin")
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "text", ["2025-03-30T01:59:59", "2025-03-30T03:00", "2025-10-26T01:59", "2025-10-26T03:00"]
)
def test_times_beside_a_change_are_fine(text: str) -> None:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert read_moment(text, "Europe/Berlin").instant == instant(local.isoformat())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-04-31",
        "2025-1-1",
        "0000-01-01",
        "2025-04-01T24:00",
        "2025-04-01T06",
        "2025-04-01T06:00:00.1234567",
        "2025-04-01T06:60",
        "2025-04-01Z",
        " 2025-04-01",
        "2025-04-01\n",
        "２０２５-04-01",
    ],
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(SpecError):
        read_moment(text, "UTC")


def test_an_unknown_zone_is_a_spec_error() -> None:
    with pytest.raises(SpecError, match="Nowhere is not a time zone"):
        read_moment("2025-01-01", "Nowhere")


ZONES = [
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Beirut",
    "Pacific/Apia",
    "Africa/Cairo",
]


@given(st.dates(date(1950, 1, 1), date(2036, 1, 1)), st.sampled_from(ZONES))
def test_days_are_the_zones_days(day: date, zone: str) -> None:
    """The second a day begins is in it (or after it, if it was left out); the second before is not."""
    first = read_moment(day.isoformat(), zone).instant // 10**6
    assert datetime.fromtimestamp(first, ZoneInfo(zone)).date() >= day
    assert datetime.fromtimestamp(first - 1, ZoneInfo(zone)).date() < day
