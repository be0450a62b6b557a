"""One promise for all frames: what they say they carry comes back with equal values, the rest is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from raybackfill.flow.transform import restore_types
from raybackfill.frames import Frame
from raybackfill.frames.arrow import ArrowFrame
from raybackfill.frames.pandas import PandasFrame
from raybackfill.frames.polars import PolarsFrame
from raybackfill.frames.sql import Query, SqlFrame

VALUES: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int8(), [-128, 127]),
    (pa.uint64(), [0, 2**64 - 1]),
    (pa.int64(), [-(2**63), 2**63 - 1]),
    (pa.float16(), [0.5, -1.0]),
    (pa.float64(), [0.1, float("inf")]),
    (pa.bool_(), [True, False]),
    (pa.decimal128(18, 3), [Decimal("1.100"), Decimal("-0.001")]),
    (pa.decimal128(38, 10), [Decimal("1234567890123456789012345678.0000000001")]),
    (pa.decimal256(50, 2), [Decimal("1" * 48 + ".25")]),
    (pa.string(), ["08", "", "日本", "a\0b"]),
    (pa.large_string(), ["x"]),
    (pa.string_view(), ["a string that is longer than twelve bytes", "s"]),
    (pa.binary(), [b"\xff\x00", b""]),
    (pa.binary(2), [b"ab"]),
    (pa.date32(), [date(1, 1, 1), date(9999, 12, 31)]),
    (pa.date64(), [date(2025, 1, 1)]),
    (pa.timestamp("s"), [datetime(2025, 1, 1, 3)]),
    (pa.timestamp("ms", "UTC"), [datetime(2025, 1, 1)]),
    (pa.timestamp("us", "Europe/Berlin"), [datetime(2025, 7, 1)]),
    (pa.timestamp("ns"), [datetime(2025, 1, 1, 3, 4, 5, 6)]),
    (pa.time32("ms"), [time(1, 2, 3)]),
    (pa.time64("us"), [time(1, 2, 3, 4)]),
    (pa.time64("ns"), [time(1, 2, 3, 4)]),
    (pa.duration("us"), [timedelta(seconds=1)]),
    (pa.list_(pa.int32()), [[1, None], []]),
    (pa.list_(pa.string()), [["a"], None]),
    (pa.large_list(pa.int64()), [[1]]),
    (pa.list_(pa.float32(), 2), [[1.0, 2.0]]),
    (pa.struct([("a", pa.int64()), ("b", pa.string())]), [{"a": 1, "b": None}]),
    (pa.map_(pa.string(), pa.int64()), [[("k", 1)]]),
    (pa.dictionary(pa.int32(), pa.string()), ["a", "b", "a"]),
    (pa.null(), [None]),
]
FRAMES: dict[str, Callable[[], Frame]] = {
    "arrow": ArrowFrame,
    "polars": lambda: PolarsFrame(lazy=False),
    "polars_lazy": lambda: PolarsFrame(lazy=True),
    "pandas": PandasFrame,
    "sql": lambda: SqlFrame("Europe/Berlin"),
}


def table_of(kind: pa.DataType, values: list[Any]) -> pa.Table:
    return pa.table({"x": pa.array([*values, None], kind), "n": range(len(values) + 1)})


def through(name: str, frame: Frame, table: pa.Table) -> pa.Table:
    """In and out again, as a job that changes nothing would."""
    if name == "sql":
        result = Query("select * from input", {}, {}, "Europe/Berlin")(table)
    else:
        result = frame.to_arrow(frame.from_arrow(table))
    return restore_types(result, table.schema, frame.carried(table.schema))


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[str(kind) for kind, _ in VALUES])
def test_what_a_frame_carries_comes_back(name: str, kind: pa.DataType, values: list[Any]) -> None:
    frame = FRAMES[name]()
    table = table_of(kind, values)
    if not frame.carries(table.schema.field("x")):
        assert name != "arrow"
        return
    result = through(name, frame, table)
    assert result.to_pylist() == table.to_pylist()
    assert result["x"].type == table["x"].type
    assert result["x"].equals(table["x"])


def test_what_is_refused_is_known() -> None:
    refused = {
        name: [str(kind) for kind, _ in VALUES if not make().carries(pa.field("x", kind))]
        for name, make in FRAMES.items()
    }
    assert refused == {
        "arrow": [],
        "polars": ["decimal256(50, 2)", "date64[ms]"],
        "polars_lazy": ["decimal256(50, 2)", "date64[ms]"],
        "pandas": [],
        "sql": ["halffloat", "decimal256(50, 2)", "duration[us]"],
    }


@pytest.mark.parametrize("name", ["arrow", "polars", "polars_lazy", "pandas"])
def test_another_thing_than_a_frame_is_a_type_error(name: str) -> None:
    with pytest.raises(TypeError, match="got list"):
        FRAMES[name]().to_arrow([1, 2])


@pytest.mark.parametrize("name", FRAMES)
def test_no_rows_and_no_columns_are_no_trouble(name: str) -> None:
    empty = table_of(pa.string(), []).slice(0, 0)
    assert through(name, FRAMES[name](), empty).schema.names == ["x", "n"]


def test_sql_opens_nothing_by_itself(tmp_path: Any) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    rows = pa.table({"a": [1]})
    for query in (
        f"select * from read_csv('{tmp_path}/a.csv')",
        f"select * from '{tmp_path}/a.csv'",
        "select * from rows",
    ):
        with pytest.raises(Exception, match=r"disabled|does not exist"):
            Query(query, {}, {}, "UTC")(rows)
