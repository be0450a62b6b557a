"""A text is the value that it says, exactly, or it is refused with its row."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.errors import UnitError
from raybackfill.sources.guessing import guess
from raybackfill.sources.text_values import MisfitError, Place, convert, read_column

INT64, FLOAT64, US = pa.int64(), pa.float64(), pa.timestamp("us")
UTC_US = pa.timestamp("us", "UTC")
BERLIN = "Europe/Berlin"


def read(texts: list[str | None], kind: pa.DataType, timezone: str = "UTC") -> list[Any]:
    found = convert(pa.array(texts, pa.string()), kind, timezone)
    found.validate(full=True)
    assert found.type == kind
    return found.to_pylist()


@pytest.mark.parametrize(
    ("kind", "texts", "values"),
    [
        (INT64, ["0", None, "-5", "9223372036854775807"], [0, None, -5, 2**63 - 1]),
        (pa.uint64(), ["18446744073709551615"], [2**64 - 1]),
        (FLOAT64, ["1", "1.5", ".5", "5.", "1e5", "-0", None], [1.0, 1.5, 0.5, 5.0, 1e5, -0.0, None]),
        (FLOAT64, ["inf", "-inf", "9007199254740992"], [float("inf"), float("-inf"), 2.0**53]),
        (pa.float32(), ["0.5", None], [0.5, None]),
        (pa.decimal128(10, 2), ["1.10", "1.1", "-0.01", "1e2"], [Decimal(x) for x in ("1.10", "1.10", "-0.01", "100")]),
        (pa.decimal256(60, 30), ["0.000000000000000000000000000001"], [Decimal("1e-30")]),
        (pa.decimal64(10, 2), ["1.10"], [Decimal("1.10")]),
        (pa.bool_(), ["true", "FALSE", "1", "0", None], [True, False, True, False, None]),
        (pa.date32(), ["2020-02-29", None], [date(2020, 2, 29), None]),
        (pa.date64(), ["1969-12-31"], [date(1969, 12, 31)]),
        (pa.time64("us"), ["22:30", "22:30:00.5"], [time(22, 30), time(22, 30, 0, 500_000)]),
        (pa.time32("s"), ["00:00:59"], [time(0, 0, 59)]),
        (US, ["2020-01-31", "2020-01-31 22:30", "2020-01-31T22:30:00.5"],
         [datetime(2020, 1, 31), datetime(2020, 1, 31, 22, 30), datetime(2020, 1, 31, 22, 30, 0, 500_000)]),
        (US, ["2020-01-31T22:30:00.1230000", "2020-01-31"], [datetime(2020, 1, 31, 22, 30, 0, 123_000), datetime(2020, 1, 31)]),
        (pa.timestamp("s"), ["2020-01-31T22:30:00.000"], [datetime(2020, 1, 31, 22, 30)]),
        (pa.string(), ["08", ""], ["08", ""]), (pa.large_string(), ["a"], ["a"]), (pa.string_view(), ["a"], ["a"]),
        (pa.binary(), ["é"], [b"\xc3\xa9"]), (pa.binary(2), ["ab"], [b"ab"]),
        (pa.dictionary(pa.int32(), pa.string()), ["a", None, "a"], ["a", None, "a"]),
        (pa.null(), [None, None], [None, None]), (pa.duration("s"), [None], [None]),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_text_says(kind: pa.DataType, texts: list[str | None], values: list[Any]) -> None:
    assert read(texts, kind) == values
    assert read([], kind) == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *[(INT64, text) for text in ("08", "+5", "-0", "1_000", "0x1", "1.0", " 1", "", "1e2", "9223372036854775808", "١")],
        (pa.int8(), "128"), (pa.uint8(), "-1"),
        *[(FLOAT64, text) for text in ("08.5", "+5", "1_0", "0x1p3", " 1", "", ".", "1e", "1e999", "9007199254740993", "infinit")],
        (pa.float32(), "1e39"), (pa.float16(), "70000"),
        *[(pa.decimal128(10, 2), text) for text in ("1.105", "123456789.00", "NaN", "08", "+1", "", " 1")],
        *[(pa.bool_(), text) for text in ("yes", "t", "", "2")],
        *[(pa.date32(), text) for text in ("2020-02-30", "2020-1-1", "20200101", "2020-01-01T00:00", "")],
        *[(pa.time64("us"), text) for text in ("24:00", "1:00", "22:30:00.1234567", "22", "")],
        *[(US, text) for text in ("2020-01-01T00:00:00Z", "2020-01-01 00:00+02:00", "2020-01-01T25:00", "x", "",
                                  "2020-01-01T00:00:00.1234567")],
        (pa.timestamp("ns"), "2500-01-01"), (pa.timestamp("s"), "2020-01-01T00:00:00.1"),
        (pa.binary(2), "abc"), (pa.null(), "x"), (pa.duration("s"), "1"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_refused(kind: pa.DataType, text: str) -> None:
    fits = {pa.bool_(): "true", pa.date32(): "2020-01-01", pa.time64("us"): "01:00", pa.binary(2): "ab"}
    good = fits.get(kind, "2020-01-01" if pa.types.is_timestamp(kind) else "1")
    before = [None] * 3 if kind in (pa.null(), pa.duration("s")) else [good, None, good]
    with pytest.raises(MisfitError) as caught:
        read([*before, text, good, text], kind)
    assert (caught.value.index, caught.value.value) == (3, text)


def test_a_refusal_names_value_column_row_and_the_next_step() -> None:
    with pytest.raises(UnitError) as caught:
        read_column(pa.array(["1", "08"]), INT64, "UTC", Place("lake/x.csv", "code", 10))
    assert str(caught.value) == (
        "lake/x.csv: '08' in column code (row 12) is not int64 without loss; "
        "add source.schema: {code: string}, or the type that all values have"
    )


def test_times_with_and_without_offsets_are_instants_of_the_sources_zone() -> None:
    texts = ["2021-07-01T00:00:00Z", "2021-07-01 02:00", None, "2021-07-01T02:00:00+02:00", "2021-07-01"]
    noon = datetime(2021, 7, 1, tzinfo=UTC)
    assert read(texts, UTC_US, BERLIN) == [noon, noon, None, noon, noon - timedelta(hours=2)]
    assert read(["2021-07-01 00:00-0330"], UTC_US) == [noon + timedelta(hours=3.5)]


@pytest.mark.parametrize("text", ["2021-10-31 02:30", "2021-03-28 02:30"])
def test_a_time_that_the_zone_skips_or_has_twice_is_refused(text: str) -> None:
    with pytest.raises(MisfitError, match="skips this time or has it twice") as caught:
        read(["2021-10-31T02:30:00+01:00", "2021-06-01 00:00", text], UTC_US, BERLIN)
    assert caught.value.index == 2


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers_come_back(values: list[int | None]) -> None:
    assert read([None if v is None else str(v) for v in values], INT64) == values


@given(st.lists(st.none() | st.floats(allow_nan=False)))
def test_doubles_come_back(values: list[float | None]) -> None:
    texts = [None if v is None else repr(v) for v in values]
    assert [v if v is None else v.hex() for v in read(texts, FLOAT64)] == [
        v if v is None else v.hex() for v in values
    ]


@given(st.lists(st.decimals(-(10**15), 10**15, places=3)))
def test_decimals_come_back(values: list[Decimal]) -> None:
    assert read([f"{v:f}" for v in values], pa.decimal128(19, 3)) == values


@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))))
def test_naive_times_come_back(values: list[datetime]) -> None:
    assert read([v.isoformat() for v in values], US) == values


@given(
    st.lists(st.datetimes(datetime(1900, 1, 2), datetime(2199, 1, 1))),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_instants_come_back_whatever_their_offset(values: list[datetime], zone: timezone) -> None:
    instants = [v.replace(tzinfo=UTC) for v in values]
    assert read([v.astimezone(zone).isoformat() for v in instants], UTC_US, BERLIN) == instants


def _offset(local: datetime, zone: ZoneInfo) -> timedelta | None:
    """Python gives a skipped or doubled time another offset with fold=1."""
    return local.replace(tzinfo=zone).utcoffset()


@given(st.lists(st.datetimes(datetime(1980, 1, 1), datetime(2030, 1, 1)), max_size=5))
def test_local_times_are_read_as_python_reads_them(values: list[datetime]) -> None:
    zone = ZoneInfo(BERLIN)
    first = [v.replace(fold=0) for v in values]
    clear = [v for v in first if _offset(v, zone) == _offset(v.replace(fold=1), zone)]
    assert read([str(v) for v in clear], UTC_US, BERLIN) == [v.replace(tzinfo=zone) for v in clear]


@given(
    st.lists(st.text(alphabet="0123456789+-.eE_ x", max_size=6), min_size=1),
    st.sampled_from([INT64, FLOAT64]),
)
def test_any_text_is_read_as_python_reads_it_or_refused(texts: list[str], kind: pa.DataType) -> None:
    for text in texts:
        try:
            value = read([text], kind)[0]
        except MisfitError:
            continue
        assert value == (int(text) if kind == INT64 else float(text))
        assert kind != INT64 or str(value) == text


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", None, "-5", "0"], "int64"),
        (["1", "2.5"], "double"), (["1e-05", "1.5E8", "1e+16"], "double"), (["-0", "1"], "double"),
        (["0.30000000000000004"], "double"), (["9007199254740992", "0.5"], "double"),
        ([None, None], "null"), ([], "null"),
        *[(["1", text], "string") for text in ("08", "+5", "1_0", "0x1", "NaN", "inf", "", " 1", ".5", "5.", "12E4", "1e5",
                                               "2020-01-01", "true", "9223372036854775808", "1e999",
                                               "0.123456789012345678", "1,5")],
        (["9007199254740993", "0.5"], "string"),
    ],
    ids=str,
)  # fmt: skip
def test_which_type_texts_show(texts: list[str | None], kind: str) -> None:
    assert str(guess(pa.chunked_array([pa.array(texts, pa.string())]))) == kind


@given(st.lists(st.none() | st.text(alphabet="0123456789-.eE", max_size=20)))
def test_a_guessed_type_reads_all_its_texts(texts: list[str | None]) -> None:
    kind = guess(pa.chunked_array([pa.array(texts, pa.string())]))
    values = read(texts, kind)
    assert [v is None for v in values] == [t is None for t in texts]
