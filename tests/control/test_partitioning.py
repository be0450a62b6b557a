"""Folders of the target: how rows are placed, and that a folder's class is true of each of its rows."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raybackfill.control.planning.levels import escape
from raybackfill.control.planning.partitioning import Missing, Partitioning
from raybackfill.control.planning.scope import Scope
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.errors import SpecError, UnitError
from raybackfill.spec.values import Moment, PartitionField, ScopeSpec

NULL = "__HIVE_DEFAULT_PARTITION__"
ZONES = ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "America/St_Johns"]


def layout(*names: str, zone: str = "UTC", source: str | None = None, **templates: str) -> Partitioning:
    fields = [PartitionField(name) for name in names]
    fields += [PartitionField(name, template) for name, template in templates.items()]
    return Partitioning(fields, zone, None if source is None else PathTemplate.parse(source, zone))


def at(*parts: int, zone: str = "UTC") -> Moment:
    moment = datetime(*parts, tzinfo=ZoneInfo(zone))  # type: ignore[arg-type,misc]
    return Moment(int(moment.timestamp()) * 1_000_000, str(moment), len(parts) == 3)


def between(start: Moment | None, end: Moment | None, **more: Any) -> ScopeSpec:
    return ScopeSpec(start=start, end=end, **more)


def strings(*texts: str) -> pa.Array:
    return pa.array(texts, pa.string())


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([date(2025, 1, 1), None]), ["2025-01-01", NULL]),
        (pa.array([date(2025, 1, 1)]).cast(pa.date64()), ["2025-01-01"]),
        (pa.array([1, -5, None], pa.int16()), ["1", "-5", NULL]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([Decimal("1.50"), Decimal("100.00")]), ["1.50", "100.00"]),
        (
            pa.array(["eu/west", "a b", "é", "50%", "a=b:c", "}~"]),
            ["eu%2Fwest", "a b", "é", "50%25", "a%3Db%3Ac", "}~"],
        ),
        (pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
        (pa.array(["x"], pa.string_view()), ["x"]),
        (pa.array([datetime(2025, 1, 1, 5)], pa.timestamp("us")), ["2025-01-01T05%3A00%3A00"]),
        (pa.array([1], pa.timestamp("ns", "Europe/Berlin")), ["1970-01-01T00%3A00%3A00.000000001Z"]),
        (pa.array([1_500], pa.timestamp("ms", "UTC")), ["1970-01-01T00%3A00%3A01.5Z"]),
        (pa.nulls(2, pa.string()), [NULL, NULL]),
        (pa.array([], pa.string()), []),
    ],
)
def test_values_are_written_as_hive_does_and_read_back(column: pa.Array, texts: list[str]) -> None:
    partitioning, table = layout("k"), pa.table({"k": column, "v": pa.nulls(len(column))})
    folders = partitioning.folders(table)
    assert folders.type == pa.string()
    assert folders.to_pylist() == [f"k={text}" for text in texts]
    assert partitioning.file_columns(table.schema) == ["v"]
    for folder, value in zip(folders.to_pylist(), column, strict=True):
        restored = partitioning.restore(folder, table.schema)["k"]
        assert restored.is_valid == value.is_valid
        if value.is_valid:
            assert str(restored.cast(pa.string())) == str(value.cast(pa.string()))


@given(st.lists(st.text(min_size=1), min_size=1))
def test_every_text_comes_back_from_its_folder(texts: list[str]) -> None:
    assume(NULL not in texts)
    folders = layout("k").folders(pa.table({"k": texts}))
    assert not pc.any(pc.match_substring(folders, "/")).as_py()
    assert layout("k").parse(folders)["k"].to_pylist() == texts
    assert layout("k").fits(folders).to_pylist() == [True] * len(texts)


@pytest.mark.parametrize("value", ["", NULL])
def test_texts_that_would_come_back_as_null_are_refused(value: str) -> None:
    with pytest.raises(UnitError, match="null"):
        layout("k").folders(pa.table({"k": ["a", value]}))


@pytest.mark.parametrize("column", [pa.array([2**40], pa.timestamp("s")), pa.array([10**7], pa.date32())])
def test_years_without_a_folder_are_refused(column: pa.Array) -> None:
    for partitioning in (layout("k"), layout(y="{k:%Y}")):
        with pytest.raises(UnitError, match="years"):
            partitioning.folders(pa.table({"k": column}))


templates = st.sampled_from(
    [
        {"dt": "{ts:%Y-%m-%d}"},
        {"dt": "{ts:%Y-%m-%d}", "hour": "{ts:%H}"},
        {"year": "{ts:%Y}", "month": "{ts:%-m}"},
        {"year": "{ts:%Y}", "month": "{ts:%-m}", "day": "{ts:%-d}", "hour": "{ts:%-H}"},
        {"m": "month-{ts:%Y%m}"},
        {"at": "{ts:%Y-%m-%d %H:%M}"},
        {"hour": "{ts:%H}"},
        {"region": None, "dt": "{ts:%Y-%m-%d}"},
        {"day": None, "month": "{ts:%Y-%m}"},
    ]
)
CHANGES = [(2025, 3, 30), (2025, 10, 26), (2018, 11, 4), (2019, 2, 17), (2025, 1, 1), (2010, 3, 14)]
instants = st.builds(
    lambda day, minutes: int(datetime(*day, tzinfo=UTC).timestamp() * 1_000_000) + minutes * 60_000_000,
    st.sampled_from(CHANGES),
    st.integers(-2000, 2000),
)
rows = st.lists(st.one_of(st.none(), instants), min_size=1, max_size=8)
kinds = st.sampled_from(["zoned", "naive", "date"])


def column_of(values: list[int | None], kind: str) -> pa.Array:
    if kind == "zoned":
        return pa.array(values, pa.timestamp("us", "UTC"))
    naive = pa.array(values, pa.timestamp("us"))
    return naive.cast(pa.date32(), safe=False) if kind == "date" else naive


def slow_folder(row: dict[str, Any], fields: dict[str, str | None], zone: str) -> str:
    names = []
    for name, template in fields.items():
        value = row[name] if template is None else row["ts"]
        if value is None:
            names.append(f"{name}={NULL}")
            continue
        if template is None:
            names.append(f"{name}={value}")
            continue
        if isinstance(value, datetime):
            value = value.astimezone(ZoneInfo(zone)) if value.tzinfo else value
        else:
            value = datetime(value.year, value.month, value.day)
        names.append(
            f"{name}=" + value.strftime(template.replace("{ts:", "").replace("}", "")).replace(":", "%3A")
        )
    return "/".join(names)


@given(rows, templates, kinds, st.sampled_from(ZONES))
def test_folders_agree_with_a_slow_reading_of_each_row(
    values: list[int | None], fields: dict[str, str | None], kind: str, zone: str
) -> None:
    table = pa.table(
        {
            "ts": column_of(values, kind),
            "region": [None if value is None else f"r{value % 3}" for value in values],
            "day": pa.array(range(len(values))),
        }
    )
    partitioning = Partitioning([PartitionField(*field) for field in fields.items()], zone, None)
    expected = [slow_folder(row, fields, zone) for row in table.to_pylist()]
    assert partitioning.folders(table).to_pylist() == expected
    codes = partitioning.folder_codes(table)
    assert codes.cast(pa.string()).to_pylist() == expected
    assert len(codes.dictionary) == len(set(expected))


@settings(max_examples=400)
@given(
    rows,
    templates,
    kinds,
    st.sampled_from(ZONES),
    instants,
    instants,
    st.sampled_from(["both", "start", "end"]),
)
def test_a_folders_class_is_true_of_each_of_its_rows(
    values: list[int | None],
    fields: dict[str, str | None],
    kind: str,
    zone: str,
    first: int,
    second: int,
    bounds: str,
) -> None:
    start, end = (Moment(value, "", False) for value in sorted((first, second)))
    spec = between(None if bounds == "end" else start, None if bounds == "start" else end)
    table = pa.table(
        {"ts": column_of(values, kind), "region": ["eu"] * len(values), "day": [1] * len(values)}
    )
    partitioning = Partitioning([PartitionField(*field) for field in fields.items()], zone, None)
    check(partitioning, table, Scope(spec, "ts", zone))
    # The backfill may read naive times in another zone than the target shows its folders in.
    check(partitioning, table, Scope(spec, "ts", "Europe/Berlin"))


def check(partitioning: Partitioning, table: pa.Table, scope: Scope) -> None:
    folders = partitioning.folders(table)
    classes = partitioning.classify(folders, scope).to_pylist()
    for name, kept in zip(classes, scope.mask(table).to_pylist(), strict=True):
        assert name in ("inside", "outside", "partial")
        assert not (name == "inside" and not kept)
        assert not (name == "outside" and kept)


@given(rows, st.sampled_from(ZONES), instants, instants)
def test_a_column_of_times_is_classified_exactly(
    values: list[int | None], zone: str, first: int, second: int
) -> None:
    start, end = (Moment(value, "", False) for value in sorted((first, second)))
    scope = Scope(between(start, end), "ts", zone)
    for kind in ("zoned", "naive", "date"):
        table = pa.table({"ts": column_of(values, kind)})
        classes = layout("ts", zone=zone).classify(layout("ts").folders(table), scope).to_pylist()
        if start.instant < end.instant:
            assert classes == ["inside" if kept else "outside" for kept in scope.mask(table).to_pylist()]


@given(
    st.lists(st.sampled_from(["8", "08", "A", None, "x/y", "true", "TRUE", "1.0"]), min_size=1), st.booleans()
)
def test_included_and_excluded_values_agree_with_the_mask(values: list[str | None], included: bool) -> None:
    wanted = {"k": ("08", "A", "TRUE")}
    spec = ScopeSpec(include=wanted) if included else ScopeSpec(exclude=wanted)
    check(layout("k"), pa.table({"k": pa.array(values, pa.string())}), Scope(spec, None, "UTC"))


@pytest.mark.parametrize(
    ("column", "wanted", "classes"),
    [
        (pa.array([8, 9, None]), ("08",), ["partial", "outside", "outside"]),
        (pa.array([8, 9, None]), ("8",), ["inside", "outside", "outside"]),
        (pa.array([True, False]), ("TRUE",), ["partial", "outside"]),
        (pa.array([Decimal("1.50")]), ("1.5",), ["partial"]),
        (pa.array([date(2025, 1, 1), date(2025, 1, 2)]), ("2025-01-01",), ["inside", "outside"]),
        (pa.array([0], pa.timestamp("s", "UTC")), ("1970-01-01T01:00:00+01:00",), ["partial"]),
    ],
)
def test_values_in_another_spelling_are_left_open(
    column: pa.Array, wanted: tuple[str, ...], classes: list[str]
) -> None:
    scope = Scope(ScopeSpec(include={"k": wanted}), None, "UTC")
    folders = layout("k").folders(pa.table({"k": column}))
    assert layout("k").classify(folders, scope).to_pylist() == classes
    check(layout("k"), pa.table({"k": column}), scope)


QUARTER = between(at(2025, 1, 1), at(2025, 4, 1))


@pytest.mark.parametrize(
    ("partitioning", "folder", "expected"),
    [
        (layout(dt="{ts:%Y-%m-%d}"), "dt=2025-01-01", "inside"),
        (layout(dt="{ts:%Y-%m-%d}"), "dt=2024-12-31", "outside"),
        (layout(dt="{ts:%Y-%m-%d}"), "dt=2025-04-01", "outside"),
        (layout(dt="{ts:%Y-%m-%d}"), f"dt={NULL}", "outside"),
        (layout(dt="{ts:%Y-%m-%d}"), "dt=", "outside"),
        (layout(dt="{ts:%Y-%m-%d}"), "dt=2025-02-31", "foreign"),
        (layout(dt="{ts:%Y-%m-%d}"), "dt=2025-1-1", "foreign"),
        (layout(dt="{ts:%Y-%m-%d}"), "dt=2025-01-01/hour=05", "foreign"),
        (layout(dt="{ts:%Y-%m-%d}"), "day=2025-01-01", "foreign"),
        (layout(dt="{ts:%Y-%m-%d}"), "", "foreign"),
        (layout(y="{ts:%Y}", m="{ts:%-m}"), "y=2025/m=3", "inside"),
        (layout(y="{ts:%Y}", m="{ts:%-m}"), "y=2025/m=03", "foreign"),
        (layout(y="{ts:%Y}"), "y=2025", "partial"),
        (layout(h="{ts:%H}"), "h=24", "foreign"),
        (layout(h="{ts:%H}"), "h=05", "partial"),
        (layout(d="{other:%Y-%m-%d}"), "d=2020-01-01", "partial"),
        (layout(y="{ts:%Y}", d="{ts:%Y-%m-%d}"), "y=2024/d=2025-01-01", "foreign"),
        (layout("region", dt="{ts:%Y-%m-%d}"), "region=%FF/dt=2025-01-01", "foreign"),
        (layout("ts"), "ts=2025-03-31", "inside"),
        (layout("ts"), "ts=2025-04-01", "outside"),
        (layout("ts"), "ts=x", "foreign"),
        (layout("ts"), "ts=2025-03-31T23%3A59%3A59.999999999Z", "inside"),
        (layout("region"), "region=eu", "partial"),
        (layout("dt"), "dt=2020-01-01", "partial"),
        (layout("dt", source="dt={ts:%Y-%m-%d}/*"), "dt=2025-03-31", "inside"),
        (layout("dt", source="dt={ts:%Y-%m-%d}/*"), "dt=2025-04-01", "outside"),
        (layout("dt", source="dt={ts:%Y-%m-%d}/*"), f"dt={NULL}", "outside"),
        (layout("dt", source="dt={ts:%Y-%m-%d}/*"), "dt=someday", "partial"),
        (layout("y", "m", source="y={ts:%Y}/m={ts:%m}/*"), "y=2025/m=3", "inside"),
        (layout("y", "m", source="y={ts:%Y}/m={ts:%m}/*"), "y=2025/m=04", "outside"),
        (layout("m", "y", source="y={ts:%Y}/m={ts:%m}/*"), "m=04/y=2025", "outside"),
        (layout("y", source="y={ts:%Y}/m={ts:%m}/*"), "y=2024", "outside"),
        (layout("dt", source="dt=x{ts:%Y-%m-%d}-{shop}/*"), "dt=x2020-01-01-a", "partial"),
        (layout(), "", "partial"),
        (layout(), "dt=1", "foreign"),
    ],
)
def test_what_a_folder_is_to_a_quarter(partitioning: Partitioning, folder: str, expected: str) -> None:
    assert partitioning.classify(strings(folder), Scope(QUARTER, "ts", "UTC")).to_pylist() == [expected]
    everything = partitioning.classify(strings(folder), Scope(ScopeSpec(), "ts", "UTC")).to_pylist()
    assert everything == ["foreign" if expected == "foreign" and folder != "ts=x" else "inside"]


def test_conditions_are_joined() -> None:
    spec = between(at(2025, 1, 1), at(2025, 4, 1), include={"region": ("eu",)}, exclude={"other": ("x",)})
    partitioning = layout("region", dt="{ts:%Y-%m-%d}")
    folders = strings("region=eu/dt=2025-01-01", "region=us/dt=2025-01-01", "region=eu/dt=2024-01-01", "x")
    found = partitioning.classify(folders, Scope(spec, "ts", "UTC")).to_pylist()
    assert found == ["partial", "outside", "outside", "foreign"]
    assert partitioning.classify(strings(), Scope(spec, "ts", "UTC")).to_pylist() == []


def test_clock_changes_move_the_bounds_of_folders() -> None:
    # On 2018-11-04 the day of Sao Paulo began at 01:00, which is 03:00 in UTC.
    day = between(at(2018, 11, 4, 3), at(2018, 11, 5, 2))
    scope = Scope(day, "ts", "America/Sao_Paulo")
    folders = strings("dt=2018-11-03", "dt=2018-11-04", "dt=2018-11-05")
    partitioning = layout(dt="{ts:%Y-%m-%d}", zone="America/Sao_Paulo")
    assert partitioning.classify(folders, scope).to_pylist() == ["outside", "inside", "outside"]
    # The doubled hour of Berlin is one folder of two hours.
    hour = layout(dt="{ts:%Y-%m-%d}", hour="{ts:%H}", zone="Europe/Berlin")
    for end, expected in ((1, "partial"), (2, "inside")):
        spec = between(at(2025, 10, 26, 0), at(2025, 10, 26, end))
        found = hour.classify(strings("dt=2025-10-26/hour=02"), Scope(spec, "ts", "Europe/Berlin"))
        assert found.to_pylist() == [expected]


@pytest.mark.parametrize(
    ("partitioning", "zone", "spec", "count", "first"),
    [
        (layout(dt="{ts:%Y-%m-%d}"), "UTC", QUARTER, 90, "dt=2025-01-01"),
        (layout("ts", source="dt={ts:%Y-%m-%d}/*"), "UTC", QUARTER, 90, "ts=2025-01-01"),
        (layout("ts", source="{ts:%Y-%m}.csv"), "UTC", QUARTER, 3, "ts=2025-01-01"),
        (layout("dt", source="dt={ts:%Y-%m-%d}/*"), "UTC", QUARTER, 90, "dt=2025-01-01"),
        (layout(y="{ts:%Y}", m="{ts:%-m}"), "UTC", QUARTER, 3, "y=2025/m=1"),
        (layout(m="{ts:%-m}", y="{ts:%Y}"), "UTC", QUARTER, 3, "m=1/y=2025"),
        (
            layout(d="{ts:%Y-%m-%d}", h="{ts:%H}", zone="Europe/Berlin"),
            "Europe/Berlin",
            between(at(2025, 3, 30, zone="Europe/Berlin"), at(2025, 3, 31, zone="Europe/Berlin")),
            23,
            "d=2025-03-30/h=00",
        ),
        (
            layout(d="{ts:%Y-%m-%d}", h="{ts:%H}", zone="Europe/Berlin"),
            "Europe/Berlin",
            between(at(2025, 10, 26, zone="Europe/Berlin"), at(2025, 10, 27, zone="Europe/Berlin")),
            24,
            "d=2025-10-26/h=00",
        ),
        (
            layout("d", "h", source="d={ts:%Y-%m-%d}/h={ts:%H}/*", zone="America/Sao_Paulo"),
            "America/Sao_Paulo",
            between(at(2018, 11, 4, 3), at(2018, 11, 5, 2)),
            23,
            "d=2018-11-04/h=01",
        ),
        (
            layout(dt="{ts:%Y-%m-%d}"),
            "UTC",
            between(at(2025, 1, 1, 12), at(2025, 1, 2, 12)),
            2,
            "dt=2025-01-01",
        ),
        (
            layout("dt", source="dt={dt:%Y-%m-%d}/*"),
            "UTC",
            between(at(2025, 1, 1, 12), at(2025, 1, 2, 12)),
            1,
            "dt=2025-01-02",
        ),
    ],
)
def test_missing_folders_are_counted_and_named(
    partitioning: Partitioning, zone: str, spec: ScopeSpec, count: int, first: str
) -> None:
    column = (
        "dt" if partitioning.source_template and partitioning.source_template.time_column == "dt" else "ts"
    )
    scope = Scope(spec, column, zone)
    nothing = partitioning.missing(scope, strings())
    assert nothing is not None
    assert (nothing.count, nothing.first[0]) == (count, first)
    assert partitioning.missing(scope, strings(first)) == Missing(
        count - 1,
        tuple(partitioning.missing(scope, strings(), first=6).first[1:]),  # type: ignore[union-attr]
    )


def test_missing_folders_are_not_guessed() -> None:
    scope = Scope(QUARTER, "ts", "UTC")
    assert layout("region", dt="{ts:%Y-%m-%d}").missing(scope, strings()) is None
    assert layout("ts").missing(scope, strings()) is None
    assert layout(dt="{other:%Y-%m-%d}").missing(scope, strings()) is None
    assert layout().missing(scope, strings()) is None
    daily = layout(dt="{ts:%Y-%m-%d}")
    assert daily.missing(Scope(between(at(2025, 1, 1), None), "ts", "UTC"), strings()) is None
    seconds = layout(s="{ts:%Y%m%d%H%M%S}")
    assert seconds.missing(Scope(QUARTER, "ts", "UTC"), strings()) is None
    without = Scope(between(at(2025, 1, 1), at(2025, 1, 3), exclude={"ts": ("2025-01-02",)}), "ts", "UTC")
    named = layout("ts", source="dt={ts:%Y-%m-%d}/*")
    assert named.missing(without, strings()) == Missing(1, ("ts=2025-01-01",))


@pytest.mark.parametrize(
    ("fields", "schema", "message"),
    [
        ([("dt", None)], {"ts": pa.date32()}, "no column dt"),
        ([("dt", "{ts:%Y}")], {"x": pa.date32()}, "no column ts"),
        ([("dt", "{ts:%Y}")], {"ts": pa.date32(), "dt": pa.date32()}, "column dt"),
        ([("dt", "{ts:%Y}")], {"ts": pa.string()}, "ts is string"),
        ([("x", None)], {"x": pa.float64(), "y": pa.int8()}, "x is double"),
        ([("x", None)], {"x": pa.int8()}, "none"),
    ],
)
def test_outputs_that_do_not_fit_the_folders(
    fields: list[tuple[str, str | None]], schema: dict[str, pa.DataType], message: str
) -> None:
    partitioning = Partitioning([PartitionField(*field) for field in fields], "UTC", None)
    with pytest.raises(SpecError, match=message) as error:
        partitioning.file_columns(pa.schema(list(schema.items())))
    assert "target.partition_by" in str(error.value)


@pytest.mark.parametrize(
    "fields",
    [
        [("a", None), ("a", None)],
        [("_a", None)],
        [("", None)],
        [("ts", "{ts:%Y}")],
        [("a", "{ts:%Y}"), ("b", "{a:%Y}")],
        [("a", "{region}")],
        [("a", "x")],
        [("a", "*{ts:%Y}")],
        [("a", "{ts:%Y}{other:%m}")],
        [("a", "{ts:%Q}")],
        [("a", "{ts:%Y")],
    ],
)
def test_bad_layouts_are_refused(fields: list[tuple[str, str | None]]) -> None:
    with pytest.raises(SpecError):
        Partitioning([PartitionField(*field) for field in fields], "UTC", None)


def test_files_keep_the_time_of_a_template() -> None:
    schema = pa.schema([("ts", pa.timestamp("us", "UTC")), ("region", pa.string()), ("v", pa.int8())])
    partitioning = layout("region", dt="{ts:%Y-%m-%d}")
    assert partitioning.file_columns(schema) == ["ts", "v"]
    assert partitioning.restore("region=a%2Fb/dt=2025-01-01", schema) == {"region": pa.scalar("a/b")}
    assert partitioning.restore(f"region={NULL}/dt={NULL}", schema) == {
        "region": pa.scalar(None, pa.string())
    }
    parsed = partitioning.parse(
        strings("region=a%2Fb/dt=2025-01-01", f"region={NULL}/dt={NULL}", "x")
    ).to_pylist()
    assert parsed == [{"region": "a/b", "dt": "2025-01-01"}, *[{"region": None, "dt": None}] * 2]
    assert layout().file_columns(schema) == ["ts", "region", "v"]
    assert layout().folders(pa.table({"v": [1, 2]})).to_pylist() == ["", ""]
    assert layout().restore("", schema) == {}


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("k=x", pa.int32()),
        ("k=2025-02-31", pa.date32()),
        ("k=2025-01-01 00%3A00%3A00", pa.timestamp("us", "UTC")),
        ("q=1", pa.int32()),
    ],
)
def test_folders_that_do_not_fit_the_output_are_named(folder: str, kind: pa.DataType) -> None:
    with pytest.raises(SpecError) as error:
        layout("k").restore(folder, pa.schema([("k", kind)]))
    assert folder in str(error.value)


def test_a_name_is_escaped_as_its_values_are() -> None:
    table = pa.table({"a:b": ["x"]})
    assert layout("a:b").folders(table).to_pylist() == ["a%3Ab=x"]
    assert layout("a:b").parse(strings("a%3Ab=x")).to_pylist() == [{"a:b": "x"}]
    assert escape("\x00\n\x7f\"#%'*/:=?\\{[]^") == "%00%0A%7F%22%23%25%27%2A%2F%3A%3D%3F%5C%7B%5B%5D%5E"


def test_a_million_rows_in_few_folders_and_chunks() -> None:
    start = datetime(2025, 1, 1)
    hours = pa.array([start + timedelta(hours=hour) for hour in range(1000)], pa.timestamp("us", "UTC"))
    table = pa.table(
        {"ts": pa.chunked_array([hours] * 1000), "region": pa.chunked_array([pa.array(["eu"] * 1000)] * 1000)}
    )
    codes = layout("region", dt="{ts:%Y-%m-%d}", zone="Asia/Kolkata").folder_codes(table)
    assert len(codes) == 1_000_000
    assert len(codes.dictionary) == 42
    assert codes.dictionary[0].as_py() == "region=eu/dt=2025-01-01"
    assert pc.value_counts(codes.indices).field("counts").to_pylist()[1] == 24_000
