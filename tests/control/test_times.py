"""Instants and local times against zoneinfo, one value at a time."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.planning.times import (
    GRANULARITIES,
    check_zone,
    day_bounds,
    following,
    format_local,
    instants_to_local,
    interval_of,
    local_of,
    local_to_instants,
    parse_format,
    to_instants,
    to_local,
)
from raybackfill.errors import SpecError

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "America/St_Johns",
    "Australia/Lord_Howe",
]
EPOCH = datetime(1970, 1, 1)
times = st.one_of(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),
    st.datetimes(datetime(2018, 1, 1), datetime(2019, 12, 31)),
    st.sampled_from(
        [datetime(2025, 3, 30), datetime(2018, 11, 4), datetime(2025, 10, 26), datetime(2040, 3, 25)]
    ).flatmap(lambda day: st.integers(-7200, 90000).map(lambda seconds: day + timedelta(seconds=seconds))),
)


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def shown(instant: int, zone: str) -> datetime:
    aware = (EPOCH + timedelta(microseconds=instant)).replace(tzinfo=UTC)
    return aware.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def slow_instant(local: datetime, zone: str, fold: int = 0) -> int:
    """By definition: the first (or second) instant shown as `local`; for a skipped time, the change."""
    first, second = (
        micros(local.replace(tzinfo=ZoneInfo(zone), fold=each).astimezone(UTC).replace(tzinfo=None))
        for each in (0, 1)
    )
    if shown(first, zone) == local:
        return second if fold and shown(second, zone) == local else first
    low, high = min(first, second), max(first, second)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if shown(middle, zone) < local else (low, middle)
    return high


@given(st.lists(times, max_size=5), st.sampled_from(ZONES))
def test_local_times_and_instants_agree_with_zoneinfo(moments: list[datetime], zone: str) -> None:
    local = pa.array(moments, pa.timestamp("us"))
    assert local_to_instants(local, zone).to_pylist() == [slow_instant(m, zone) for m in moments]
    assert local_to_instants(local, zone, last=True).to_pylist() == [
        slow_instant(m, zone, 1) for m in moments
    ]
    instants = pa.array([micros(moment) for moment in moments], pa.int64())
    assert instants_to_local(instants, zone).to_pylist() == [
        shown(micros(moment), zone) for moment in moments
    ]


@given(times, st.sampled_from(GRANULARITIES), st.sampled_from(ZONES))
def test_an_interval_holds_every_instant_of_its_unit(moment: datetime, granularity: str, zone: str) -> None:
    instant = micros(moment)
    start, end = interval_of(shown(instant, zone), granularity, zone)
    assert start <= instant < end
    upcoming = following(instant, granularity, zone)
    assert instant < upcoming
    unit = parse_format({"year": "%Y", "month": "%Y%m", "day": "%Y%m%d"}.get(granularity, "%Y%m%d%H"), "x")
    if granularity in ("year", "month", "day", "hour"):
        assert (
            format_local(unit, shown(upcoming, zone)) != format_local(unit, shown(instant, zone))
            or end > upcoming
        )


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2025, 3, 30), "Europe/Berlin", 23),
        (date(2025, 10, 26), "Europe/Berlin", 25),
        (date(2018, 11, 4), "America/Sao_Paulo", 23),
        (date(2019, 2, 16), "America/Sao_Paulo", 25),
        (date(2025, 3, 30), "Asia/Kolkata", 24),
        (date(2040, 3, 25), "Europe/Berlin", 23),
        (date(2025, 3, 30), "UTC", 24),
    ],
)
def test_days_have_the_hours_of_the_zone(day: date, zone: str, hours: int) -> None:
    start, end = day_bounds(day, zone)
    assert end - start == hours * 3_600_000_000
    assert following(start, "day", zone) == end


def test_a_doubled_hour_covers_both_and_begins_with_the_first() -> None:
    start, end = interval_of(datetime(2025, 10, 26, 2), "hour", "Europe/Berlin")
    assert start == micros(datetime(2025, 10, 26, 0))
    assert end == micros(datetime(2025, 10, 26, 2))


def test_a_skipped_midnight_is_the_first_instant_of_the_day() -> None:
    local = pa.array(
        [datetime(2018, 11, 4), datetime(2018, 11, 4, 0, 59), datetime(2018, 11, 4, 1)], pa.timestamp("us")
    )
    assert local_to_instants(local, "America/Sao_Paulo").to_pylist() == [micros(datetime(2018, 11, 4, 3))] * 3


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_columns_become_instants_in_every_unit(unit: str) -> None:
    naive = pa.array([datetime(2025, 7, 1), None, datetime(1969, 7, 1)], pa.timestamp(unit))
    summer, winter = micros(datetime(2025, 6, 30, 22)), micros(datetime(1969, 6, 30, 23))
    assert to_instants(naive, "Europe/Berlin").to_pylist() == [summer, None, winter]
    zoned = naive.cast(pa.timestamp(unit, "UTC"))
    assert to_instants(zoned, "Europe/Berlin").to_pylist() == [
        micros(datetime(2025, 7, 1)),
        None,
        micros(datetime(1969, 7, 1)),
    ]
    assert to_local(zoned, "Europe/Berlin").to_pylist()[0] == datetime(2025, 7, 1, 2)
    assert to_local(naive, "Europe/Berlin").to_pylist()[0] == datetime(2025, 7, 1)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**62) // 1000, 2**62 // 1000))
def test_flooring_nanoseconds_changes_no_half_open_comparison(value: int, bound: int) -> None:
    floored = to_instants(pa.array([value], pa.timestamp("ns", "UTC")), "UTC")[0].as_py()
    assert (floored >= bound) == (value >= bound * 1000)


@given(st.integers(-(2**62), 2**62), st.sampled_from(["s", "ms", "us"]), st.sampled_from(ZONES))
def test_times_beyond_what_can_be_written_stay_beyond(value: int, unit: str, zone: str) -> None:
    factor = {"s": 1_000_000, "ms": 1000, "us": 1}[unit]
    low, high = micros(datetime(1, 1, 2)), micros(datetime(9999, 12, 30))
    for kind in (pa.timestamp(unit), pa.timestamp(unit, zone)):
        found = to_instants(pa.array([value], kind), zone)[0].as_py()
        if value * factor < low - 3 * 86_400_000_000:
            assert found < low
        if value * factor > high + 3 * 86_400_000_000:
            assert found > high


def test_dates_are_the_zones_days_and_other_types_are_refused() -> None:
    dates = pa.array([date(2025, 7, 1), None, date(9999, 12, 31)])
    found = to_instants(dates, "Europe/Berlin").to_pylist()
    assert found == [micros(datetime(2025, 6, 30, 22)), None, micros(datetime(9999, 12, 30, 23))]
    assert to_instants(dates.cast(pa.date64()), "Europe/Berlin").to_pylist() == found
    for column in (pa.array(["2025-01-01"]), pa.array([1])):
        with pytest.raises(TypeError):
            to_instants(column, "UTC")
        with pytest.raises(TypeError):
            to_local(column, "UTC")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 9999),
            st.integers(0, 14),
            st.integers(0, 33),
            st.integers(0, 26),
            st.integers(0, 62),
        ),
        min_size=1,
    )
)
def test_only_times_that_exist_are_made_of_pieces(rows: list[tuple[int, ...]]) -> None:
    def slow(row: tuple[int, ...]) -> datetime | None:
        try:
            return datetime(row[0], row[1], row[2], row[3], row[4], row[4])
        except ValueError:
            return None

    names = dict(zip(GRANULARITIES, [0, 1, 2, 3, 4, 4], strict=True))
    pieces = {name: pa.array([row[at] for row in rows], pa.int16()) for name, at in names.items()}
    assert local_of(pieces).to_pylist() == [slow(row) for row in rows]


@pytest.mark.parametrize("text", ["%y", "%Q", "%-M", "%-Y", "%", "abc", "", "%-m%d", "%-H5"])
def test_formats_that_say_no_time_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match="ts"):
        parse_format(text, "{ts:..}")


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "+01:00", "europe berlin"])
def test_zones_are_iana_names(name: str) -> None:
    with pytest.raises(SpecError, match="time zone"):
        check_zone(name)
