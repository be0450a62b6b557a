"""Which rows are in scope: tables of cases, and a plain reading of each row."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.planning.scope import Scope, choose_column, typed
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.errors import SpecError
from raybackfill.spec.values import Moment, ScopeSpec


def moment(*parts: int, zone: str = "UTC") -> Moment:
    at = datetime(*parts, tzinfo=ZoneInfo(zone))  # type: ignore[arg-type,misc]
    return Moment(int(at.timestamp()) * 1_000_000, str(at), len(parts) == 3)


YEAR = ScopeSpec(start=moment(2025, 1, 1), end=moment(2025, 2, 1))


def table(column: pa.Array, name: str = "ts") -> pa.Table:
    return pa.table({name: column})


@pytest.mark.parametrize(
    ("kind", "zone", "rows", "kept"),
    [
        (
            pa.date32(),
            "UTC",
            [date(2024, 12, 31), date(2025, 1, 1), date(2025, 1, 31), date(2025, 2, 1), None],
            "01100",
        ),
        (
            pa.date32(),
            "Europe/Berlin",
            [date(2025, 1, 1), date(2025, 1, 2), date(2025, 2, 1), date(2025, 2, 2)],
            "0110",
        ),
        (
            pa.timestamp("us"),
            "Europe/Berlin",
            [datetime(2025, 1, 1), datetime(2025, 1, 1, 1), datetime(2025, 2, 1)],
            "011",
        ),
        (pa.timestamp("ms", "Asia/Kolkata"), "UTC", [datetime(2025, 1, 1), datetime(2025, 2, 1)], "10"),
        (pa.timestamp("s"), "UTC", [datetime(2025, 1, 31, 23, 59, 59), datetime(2025, 2, 1), None], "100"),
        (pa.timestamp("s"), "UTC", [], ""),
    ],
)
def test_bounds_are_half_open_in_the_zone(kind: pa.DataType, zone: str, rows: list[Any], kept: str) -> None:
    mask = Scope(YEAR, "ts", zone).mask(table(pa.array(rows, kind)))
    assert isinstance(mask, pa.BooleanArray)
    assert mask.to_pylist() == [flag == "1" for flag in kept]


def test_the_last_nanosecond_before_the_end_is_inside() -> None:
    end = moment(2025, 2, 1).instant * 1000
    mask = Scope(YEAR, "ts", "UTC").mask(table(pa.array([end - 1, end], pa.timestamp("ns", "UTC"))))
    assert mask.to_pylist() == [True, False]


@pytest.mark.parametrize(
    ("column", "texts", "included"),
    [
        (pa.array(["A", "b", None, "08"]), ("A", "08"), [True, False, False, True]),
        (pa.array(["A", "b", None], pa.large_string()), ("b",), [False, True, False]),
        (pa.array(["A", "b", None], pa.string_view()), ("b",), [False, True, False]),
        (pa.array(["A", "b", None]).dictionary_encode(), ("b",), [False, True, False]),
        (pa.array([8, 9, None], pa.int8()), ("08", "+9"), [True, True, False]),
        (pa.array([True, False, None]), ("TRUE",), [True, False, False]),
        (pa.array([Decimal("1.50"), None]), ("1.5",), [True, False]),
        (pa.array([0.1, None]), ("0.1",), [True, False]),
        (pa.array([date(2025, 2, 3), date(2025, 2, 4)]), ("2025-02-03",), [True, False]),
        (pa.array([date(2025, 2, 3)]).cast(pa.date64()), ("2025-02-03",), [True]),
        (pa.array([datetime(2025, 7, 1)], pa.timestamp("ms", "UTC")), ("2025-07-01T02:00:00",), [True]),
        (
            pa.array([datetime(2025, 7, 1)], pa.timestamp("ns", "UTC")),
            ("2025-07-01T00:00:00.000000000Z",),
            [True],
        ),
        (pa.array([datetime(2025, 7, 1)], pa.timestamp("us", "UTC")), ("2025-06-30 19:00-05:00",), [True]),
        (pa.array([datetime(2025, 7, 1)], pa.timestamp("us")), ("2025-07-01T00:00",), [True]),
        (pa.nulls(2), ("x",), [False, False]),
    ],
)
def test_values_are_compared_in_the_columns_type(
    column: pa.Array, texts: tuple[str, ...], included: list[bool]
) -> None:
    include = Scope(ScopeSpec(include={"ts": texts}), None, "Europe/Berlin")
    exclude = Scope(ScopeSpec(exclude={"ts": texts}), None, "Europe/Berlin")
    assert include.mask(table(column)).to_pylist() == included
    # A null is in neither, so that it is not excluded.
    assert exclude.mask(table(column)).to_pylist() == [not flag for flag in included]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x", pa.int32()),
        ("300", pa.int8()),
        ("-1", pa.uint8()),
        ("0x1f", pa.int32()),
        ("1.5", pa.int32()),
        ("٣", pa.int32()),
        ("no", pa.bool_()),
        ("1.234", pa.decimal128(18, 2)),
        (".", pa.decimal128(18, 2)),
        ("nan", pa.float64()),
        ("2025-02-31", pa.date32()),
        ("2025-2-3", pa.date32()),
        ("2025-02-03", pa.timestamp("us", "UTC")),
        ("2025-02-03T25:00:00Z", pa.timestamp("us", "UTC")),
        ("2025-02-03T05:00:00.1234Z", pa.timestamp("ms", "UTC")),
        ("2025-02-03T05:00:00Z", pa.timestamp("us")),
        ("2025-03-30T02:30:00", pa.timestamp("us", "UTC")),
        ("2025-10-26T02:30:00", pa.timestamp("us", "UTC")),
        ("x", pa.list_(pa.string())),
        ("10:00", pa.time64("us")),
    ],
)
def test_impossible_values_name_column_value_and_type(text: str, kind: pa.DataType) -> None:
    scope = Scope(ScopeSpec(include={"col": (text,)}), None, "Europe/Berlin")
    with pytest.raises(SpecError) as error:
        scope.mask(pa.table({"col": pa.array([], kind)}))
    assert "scope.include.col" in str(error.value)
    assert repr(text) in str(error.value)
    assert str(kind) in str(error.value)
    assert error.value.next


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), st.sampled_from(["s", "ms", "us", "ns"]))
def test_times_are_read_exactly(at: datetime, unit: str) -> None:
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 6}[unit]
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%f")[: 20 + digits].rstrip(".")
    expected = pa.array([datetime.fromisoformat(text)], pa.timestamp(unit, "UTC"))[0]
    assert typed(text + "Z", expected.type, "UTC", "x") == expected
    assert typed(text + "+00:00", expected.type, "UTC", "x") == expected


@pytest.mark.parametrize("column", [pa.array(["2025-01-01"]), pa.array([1]), None])
def test_a_time_that_is_none_is_to_be_declared(column: pa.Array | None) -> None:
    rows = pa.table({"x": [1]}) if column is None else table(column)
    with pytest.raises(SpecError, match=r"source\.schema: \{ts: \"timestamp\(us, UTC\)\"\}"):
        Scope(YEAR, "ts", "UTC").mask(rows)


def test_missing_columns_and_missing_times_are_refused() -> None:
    with pytest.raises(SpecError, match="tenant"):
        Scope(ScopeSpec(exclude={"tenant": ("A",)}), None, "UTC").mask(table(pa.array([1])))
    with pytest.raises(SpecError, match="has bounds but no time"):
        Scope(YEAR, None, "UTC").mask(table(pa.array([1])))


def test_what_a_scope_reads() -> None:
    spec = replace(YEAR, include={"a": ("1",)}, exclude={"b": ("2",)})
    assert Scope(spec, "ts", "UTC").needs == {"ts", "a", "b"}
    assert Scope(ScopeSpec(), "ts", "UTC").needs == set()
    assert Scope(ScopeSpec(), "ts", "UTC").mask(pa.table({"q": [1, None]})).to_pylist() == [True, True]


def test_conditions_hold_together() -> None:
    rows = pa.table(
        {
            "ts": [date(2025, 1, 1), date(2025, 1, 1), date(2025, 1, 1), date(2026, 1, 1)],
            "a": [1, 1, 2, 1],
            "b": [2, None, 3, 3],
        }
    )
    spec = replace(YEAR, include={"a": ("1",)}, exclude={"b": ("2",)})
    assert Scope(spec, "ts", "UTC").mask(rows).to_pylist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("minimum", "maximum", "may"),
    [
        (None, None, True),
        (datetime(2024, 1, 1), datetime(2024, 12, 31, 23, 59), False),
        (datetime(2024, 1, 1), datetime(2025, 1, 1), True),
        (datetime(2025, 2, 1), datetime(2025, 3, 1), False),
        (datetime(2025, 1, 31, 23), datetime(2025, 3, 1), True),
        (datetime(2025, 2, 1, tzinfo=UTC), None, False),
        (None, date(2024, 12, 31), False),
        (date(2024, 12, 31), date(2025, 1, 1), True),
        ("2026", "2027", True),
        (5, 6, True),
        (
            pa.scalar(1735689600 * 10**9 - 1, pa.timestamp("ns")),
            pa.scalar(1735689600 * 10**9 - 1, pa.timestamp("ns")),
            False,
        ),
        (pa.scalar(None, pa.timestamp("ns")), pa.scalar(1735689600 * 10**9, pa.timestamp("ns")), True),
    ],
)
def test_which_row_groups_are_read(minimum: Any, maximum: Any, may: bool) -> None:
    assert Scope(YEAR, "ts", "UTC").may_contain(minimum, maximum) is may
    assert Scope(ScopeSpec(), "ts", "UTC").may_contain(minimum, maximum) is True


instants = st.integers(1_735_000_000_000_000, 1_739_000_000_000_000)


@given(
    st.lists(instants, min_size=1),
    instants,
    st.integers(0, 10**12),
    st.booleans(),
    st.sampled_from(["UTC", "Europe/Berlin"]),
)
def test_row_groups_with_rows_in_scope_are_never_left_out(
    rows: list[int], start: int, width: int, naive: bool, zone: str
) -> None:
    spec = ScopeSpec(start=Moment(start, "", False), end=Moment(start + width, "", False))
    scope = Scope(spec, "ts", zone)
    column = pa.array(rows, pa.timestamp("us", None if naive else "UTC"))
    if pa.compute.any(scope.mask(table(column))).as_py():
        low, high = min(column.to_pylist()), max(column.to_pylist())
        assert scope.may_contain(low, high)


def test_a_margin_widens_both_bounds_once() -> None:
    spec = replace(YEAR, margin_seconds=86_400, include={"a": ("1",)})
    wide = Scope(spec, "ts", "UTC").with_margin()
    day = timedelta(days=1) // timedelta(microseconds=1)
    assert (wide.start_us, wide.end_us) == (
        moment(2025, 1, 1).instant - day,
        moment(2025, 2, 1).instant + day,
    )
    assert wide.with_margin() == wide
    assert wide.spec.include == spec.include
    open_end = Scope(ScopeSpec(start=moment(2025, 1, 1), margin_seconds=1), "ts", "UTC").with_margin()
    assert open_end.end_us is None
    assert Scope(YEAR, "ts", "UTC").with_margin().spec is YEAR


def test_the_time_is_said_or_the_only_one_of_the_path() -> None:
    one, two = (PathTemplate.parse(text, "UTC") for text in ("{a:%Y}/*", "{a:%Y}/{b:%Y}"))
    assert choose_column(replace(YEAR, column="x"), one) == "x"
    assert choose_column(YEAR, one) == "a"
    assert choose_column(ScopeSpec(), two) is None
    assert choose_column(ScopeSpec(include={"t": ("A",)}), None) is None
    with pytest.raises(SpecError, match="a, b"):
        choose_column(YEAR, two)
    with pytest.raises(SpecError, match="no time"):
        choose_column(YEAR, None)
