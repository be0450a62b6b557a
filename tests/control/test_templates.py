"""Path templates: tables of keys, a slow oracle, and the pruning of listings."""

import re
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.planning.templates import PathMatch, PathTemplate, path_columns
from raybackfill.errors import SpecError


def match(template: str, *keys: str, zone: str = "UTC") -> PathMatch:
    return PathTemplate.parse(template, zone).match(pa.array(keys, pa.string()))


def row(template: str, key: str, zone: str = "UTC") -> dict[str, Any] | None:
    found = match(template, key, zone=zone)
    assert found.values.num_rows == 1
    values = {name: value.as_py() for name, value in path_columns(found.values, 0).items()}
    return values if found.fits[0].as_py() else None


@pytest.mark.parametrize(
    ("template", "key", "expected"),
    [
        ("{ts:%Y-%m-%d}.csv.gz", "2025-01-31.csv.gz", {"ts": date(2025, 1, 31)}),
        ("{ts:%Y-%m-%d}.csv.gz", "2025-01-31xcsv.gz", None),
        ("{ts:%Y-%m-%d}.csv.gz", "2025-02-31.csv.gz", None),
        ("{ts:%Y-%m-%d}.csv.gz", "a/2025-01-31.csv.gz", None),
        ("{ts:%Y-%m-%d}.csv.gz", "2025-01-31.csv.gz\n", None),
        ("y_{m:%Y-%m}.csv", "y_2020-02.csv", {"m": date(2020, 2, 1)}),
        ("y_{m:%Y-%m}.csv", "y_2020-13.csv", None),
        ("{t:%Y%m%d%H%M%S}", "20240229235959", {"t": datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)}),
        ("{t:%Y%m%d%H%M%S}", "20240229235960", None),
        ("{t:%Y%m%d%H%M%S}", "20230229235959", None),
        ("{t:%Y}/{t:%-m}/{t:%-d}/{t:%-H}.x", "2025/3/9/0.x", {"t": datetime(2025, 3, 9, tzinfo=UTC)}),
        ("{t:%Y}/{t:%-m}/{t:%-d}/{t:%-H}.x", "2025/03/9/0.x", None),
        ("dt={dt:%Y-%m-%d}/*", "dt=2025-01-01/a.parquet", {"dt": date(2025, 1, 1)}),
        ("dt={dt:%Y-%m-%d}/*", "dt=2025-01-01/b/a.parquet", None),
        ("dt={dt:%Y-%m-%d}/*", "dt=__HIVE_DEFAULT_PARTITION__/a", {"dt": None}),
        ("dt={dt:%Y-%m-%d}/*", "dt=/a", {"dt": None}),
        ("dt={dt:%Y-%m-%d}/*", "dt=../../x", None),
        ("dt={dt:%Y-%m-%d}/**", "dt=2025-01-01/x", {"dt": date(2025, 1, 1)}),
        ("dt={dt:%Y-%m-%d}/**", "dt=2025-01-01/r=eu%2Fw/x", {"dt": date(2025, 1, 1), "r": "eu/w"}),
        ("dt={dt:%Y-%m-%d}/**", "dt=2025-01-01//x", None),
        ("dt={dt:%Y-%m-%d}/**", "dt=2025-01-01/../x", None),
        ("dt={dt:%Y-%m-%d}/**", "dt=2025-01-01/./x", None),
        ("dt={dt:%Y-%m-%d}/**", "dt=2025-01-01/dt=2025-01-02/x", None),
        ("dt={d:%Y-%m-%d}/*", "dt=2025-01-01/x", {"d": date(2025, 1, 1), "dt": "2025-01-01"}),
        ("t={t:%Y-%m-%d %H:%M}/*", "t=2025-01-01 05%3A06/x", {"t": datetime(2025, 1, 1, 5, 6, tzinfo=UTC)}),
        ("d={d:%Y-%m-%d}/y={d:%Y}/*", "d=2025-01-01/y=2025/x", {"d": date(2025, 1, 1), "y": "2025"}),
        ("d={d:%Y-%m-%d}/y={d:%Y}/*", "d=2025-01-01/y=2024/x", None),
        ("region={region}/*", "region=eu%20west/x", {"region": "eu west"}),
        ("region={region}/*", "region=/x", {"region": None}),
        ("region={region}/*", "region=%FF/x", None),
        ("region={r}/*", "region=%C3%A9/x", {"r": "é", "region": "é"}),
        ("region=*/x", "region=eu/x", {"region": "eu"}),
        ("region=eu/x", "region=eu/x", {"region": "eu"}),
        ("region=eu/x", "region=e/x", None),
        ("region=/x", "region=/x", {"region": None}),
        ("{shop}-{n}.csv", "a-b-c.csv", {"shop": "a-b", "n": "c"}),
        ("{shop}/x", "%41/x", {"shop": "%41"}),
        ("{shop}/x", "/x", None),
        ("*/x", "r=1/x", {"r": "1"}),
        ("*/r={r}/x", "r=1/r=1/x", None),
        ("**", "a=1/b=%3D/c=3", {"a": "1", "b": "="}),
        ("**", "a=1/a=1/c", None),
        ("**/x=1/*.csv", "x=1/f.csv", {"x": "1"}),
        ("**/x=1/*.csv", "q=2/w/x=1/f.csv", {"x": "1", "q": "2"}),
        ("a.b/*", "aXb/f", None),
        ("a (1)/[x]?/*", "a (1)/[x]?/f", {}),
        ("**", "ключ=знач/файл", {"ключ": "знач"}),
    ],
)
def test_what_a_key_says(template: str, key: str, expected: dict[str, Any] | None) -> None:
    assert row(template, key) == expected


@pytest.mark.parametrize(
    ("key", "fits", "skipped"),
    [
        ("a/b", True, False),
        ("_a/b", False, True),
        ("a/_SUCCESS", False, True),
        ("a/.b.crc", False, True),
        ("a/..b", False, True),
        ("a/...", False, True),
        ("a/", False, True),
        ("a/..", False, False),
        ("../a", False, False),
        ("./a", False, False),
        ("a//b", False, False),
        ("/a", False, False),
        ("", False, False),
    ],
)
def test_skipped_names_and_names_that_are_none(key: str, fits: bool, skipped: bool) -> None:
    found = match("**", key)
    assert (found.fits.to_pylist(), found.skipped.to_pylist()) == ([fits], [skipped])


def test_columns_found_in_keys_are_the_union_and_null_where_a_key_lacks_one() -> None:
    found = match("**", "a=1/f", "b=2/a=/f", "f", "_c=1/f", "z=1/")
    assert found.values.column_names == ["a", "b"]
    assert found.values.to_pylist() == [
        {"a": "1", "b": None},
        {"a": None, "b": "2"},
        *[{"a": None, "b": None}] * 3,
    ]
    assert path_columns(found.values, 1) == {"a": pa.scalar(None, pa.string()), "b": pa.scalar("2")}


def test_intervals_cover_the_path_time_in_its_zone() -> None:
    hour = match(
        "d={t:%Y-%m-%d}/h={t:%H}/*", "d=2025-10-26/h=02/x", "d=2025-10-26/h=/x", "q", zone="Europe/Berlin"
    )
    assert hour.values.schema.field("t").type == pa.timestamp("us", "Europe/Berlin")
    assert hour.fits.to_pylist() == [True, True, False]
    base = int(datetime(2025, 10, 26, tzinfo=UTC).timestamp()) * 1_000_000
    assert hour.starts is not None and hour.starts.to_pylist() == [base, None, None]
    assert hour.ends is not None and hour.ends.to_pylist() == [base + 7200 * 1_000_000, None, None]
    assert hour.values["t"].cast(pa.int64()).to_pylist() == [base, None, None]
    assert match("{a:%Y}/{b:%Y}", "2025/2024").starts is None
    assert match("**", "x").starts is None
    assert match("{a:%Y}/{b:%Y}", "2025/2024").values.to_pylist() == [
        {"a": date(2025, 1, 1), "b": date(2024, 1, 1)}
    ]


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("{ts:%Y-%q}", "%q"),
        ("{ts:%m}", "ts"),
        ("{ts:%Y-%d}", "ts"),
        ("{ts:%Y-%m}/h={ts:%H}/*", "ts"),
        ("{ts}/{ts:%Y}", "ts"),
        ("ts={x}/{ts:%Y}", "ts"),
        ("a/**/b/**", r"\*\*"),
        ("a/b**", r"\*\*"),
        ("{ts", "ts"),
        ("ts}", "ts"),
        ("{a{b}}", "a"),
        ("{a}/{a}", "a"),
        ("k={a}/k={b}/*", "k"),
        ("k=v-{k}/*", "k"),
        ("{a}{b}", "a"),
        ("{a}*", "a"),
        ("{ts:%Y/%m/%d}/*", "ts"),
        ("{ts:%-m%-d-%Y}", "ts"),
        ("{}", "not a name"),
        ("{a b}", "a b"),
        ("{ts:}", "ts"),
        ("", "no name"),
        ("a//b", "no name"),
        ("/a", "no name"),
        ("../a", "no name"),
        ("_a/*", "_a"),
    ],
)
def test_bad_templates_are_refused_by_name(template: str, named: str) -> None:
    with pytest.raises(SpecError, match=named) as error:
        PathTemplate.parse(template, "UTC")
    assert error.value.next


def test_what_a_template_says_of_itself() -> None:
    template = PathTemplate.parse("raw/kind=a%2F/dt={ts:%Y-%m-%d}/h={ts:%H}/{shop}.csv", "Europe/Berlin")
    assert template.time_columns == ("ts",)
    assert template.time_column == "ts"
    assert template.text_columns == ("kind", "dt", "h", "shop")
    assert template.literal_prefix == "raw/kind=a%2F/"
    assert row(template.text, "raw/kind=a%2F/dt=2025-01-01/h=05/s.csv") is not None
    assert PathTemplate.parse("a.csv", "UTC").literal_prefix == ""
    assert PathTemplate.parse("a/b/c*", "UTC").literal_prefix == "a/b/"
    assert PathTemplate.parse("{a:%Y}/{b:%Y}", "UTC").time_column is None


def test_a_layout_that_is_data_is_refused() -> None:
    keys = pa.array([f"k{number}=1/f" for number in range(101)])
    with pytest.raises(SpecError, match="101 names"):
        PathTemplate.parse("**", "UTC").match(keys)
    assert PathTemplate.parse("**", "UTC").match(keys[:100]).values.num_columns == 100


YEAR_2025, MARCH = 1_735_689_600_000_000, 1_740_787_200_000_000


@pytest.mark.parametrize(
    ("template", "folder", "start", "end", "may"),
    [
        ("dt={dt:%Y-%m-%d}/*", "", YEAR_2025, MARCH, True),
        ("dt={dt:%Y-%m-%d}/*", "dt=2024-12-31/", YEAR_2025, MARCH, False),
        ("dt={dt:%Y-%m-%d}/*", "dt=2025-01-01/", YEAR_2025, MARCH, True),
        ("dt={dt:%Y-%m-%d}/*", "dt=2025-03-01/", YEAR_2025, MARCH, False),
        ("dt={dt:%Y-%m-%d}/*", "dt=2025-03-01/", YEAR_2025, None, True),
        ("dt={dt:%Y-%m-%d}/*", "dt=2024-12-31/", None, MARCH, True),
        ("dt={dt:%Y-%m-%d}/*", "dt=2025-02-31/", None, None, False),
        ("dt={dt:%Y-%m-%d}/*", "dt=/", None, None, True),
        ("dt={dt:%Y-%m-%d}/*", "dt=/", YEAR_2025, None, False),
        ("dt={dt:%Y-%m-%d}/*", "x/", None, None, False),
        ("dt={dt:%Y-%m-%d}/*", "dt=2025-01-01/x/", None, None, False),
        ("dt={dt:%Y-%m-%d}/**", "dt=2025-01-01/x/", YEAR_2025, MARCH, True),
        ("dt={dt:%Y-%m-%d}/**", "dt=2025-01-01/_x/", YEAR_2025, MARCH, False),
        ("dt={dt:%Y-%m-%d}/**", "dt=2025-01-01/../", None, None, False),
        ("**/dt={dt:%Y-%m-%d}/*", "dt=2024-01-01/", YEAR_2025, MARCH, True),
        ("year={t:%Y}/month={t:%m}/day={t:%d}/*", "year=2025/", YEAR_2025, MARCH, True),
        ("year={t:%Y}/month={t:%m}/day={t:%d}/*", "year=2024/", YEAR_2025, MARCH, False),
        ("year={t:%Y}/month={t:%m}/day={t:%d}/*", "year=2025/month=03/", YEAR_2025, MARCH, False),
        ("year={t:%Y}/month={t:%m}/day={t:%d}/*", "year=2025/month=02/", YEAR_2025, MARCH, True),
        ("year={t:%Y}/month={t:%m}/day={t:%d}/*", "year=2025/month=13/", YEAR_2025, MARCH, False),
        ("hour={t:%H}/{t:%Y-%m-%d}", "hour=05/", YEAR_2025, MARCH, True),
        ("{a:%Y}/{b:%Y}/*", "2020/2020/", YEAR_2025, MARCH, True),
        ("{shop}/{dt:%Y-%m-%d}/*", "a/2020-01-01/", YEAR_2025, MARCH, False),
    ],
)
def test_which_folders_are_listed(
    template: str, folder: str, start: int | None, end: int | None, may: bool
) -> None:
    assert PathTemplate.parse(template, "UTC").folder_may_match(folder, start, end) is may


texts = st.text(st.sampled_from("ab%=_.é /-"), min_size=0, max_size=4)


@st.composite
def keys(draw: st.DrawFn) -> str:
    day = f"{draw(st.integers(2023, 2025))}-{draw(st.integers(0, 13)):02d}-{draw(st.integers(0, 32)):02d}"
    hour = draw(st.sampled_from(["00", "02", "23", "24", "2", "", "__HIVE_DEFAULT_PARTITION__"]))
    middle = "".join(
        f"{name}/"
        for name in draw(st.lists(st.one_of(texts, texts.map(lambda t: f"k={quote(t)}")), max_size=2))
    )
    return f"dt={draw(st.sampled_from([day, '', 'x', '..']))}/hour={hour}/{middle}{draw(texts)}"


def slow_match(key: str) -> dict[str, Any] | None:
    """dt={ts:%Y-%m-%d}/hour={ts:%H}/**, by the words of the interface."""
    names = key.split("/")
    if any(name in ("", ".", "..") or name[0] in "_." for name in names) or len(names) < 3:
        return None
    first, second = re.fullmatch(r"dt=(.*)", names[0]), re.fullmatch(r"hour=(.*)", names[1])
    if first is None or second is None:
        return None
    null = "__HIVE_DEFAULT_PARTITION__"
    day, hour = (None if found[1] in ("", null) else found[1] for found in (first, second))
    if hour is not None and not re.fullmatch("[0-9]{2}", hour):
        return None
    if day is not None and not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", day):
        return None
    found: dict[str, Any] = {"dt": day, "hour": hour, "ts": None}
    if day is not None and hour is not None:
        try:
            found["ts"] = datetime.fromisoformat(f"{day} {hour}:00").replace(tzinfo=UTC)
        except ValueError:
            return None
    for name in names[2:-1]:
        column, equals, value = name.partition("=")
        if not (column and equals):
            continue
        if "%" in column:
            return {"undecided": True}
        if column in found:
            return None
        try:
            found[column] = re.sub(
                "(?:%[0-9a-fA-F]{2})+", lambda m: bytes.fromhex(m[0].replace("%", "")).decode(), value
            )
        except UnicodeDecodeError:
            return None
        found[column] = None if value in ("", null) else found[column]
    return found


@given(st.lists(keys(), max_size=6))
def test_matching_agrees_with_a_slow_reading_of_each_key(relative: list[str]) -> None:
    found = match("dt={ts:%Y-%m-%d}/hour={ts:%H}/**", *relative)
    values = found.values.to_pylist()
    for at, key in enumerate(relative):
        expected = slow_match(key)
        if expected == {"undecided": True}:
            continue
        assert found.fits[at].as_py() == (expected is not None), key
        if expected is not None:
            assert {name: value for name, value in values[at].items() if value is not None} == {
                name: value for name, value in expected.items() if value is not None
            }


@given(
    st.lists(keys(), max_size=4),
    st.integers(0, 2000),
    st.integers(0, 1000),
    st.sampled_from(["UTC", "Europe/Berlin"]),
)
def test_pruning_never_hides_a_key_that_is_wanted(
    relative: list[str], first: int, hours: int, zone: str
) -> None:
    template = PathTemplate.parse("dt={ts:%Y-%m-%d}/hour={ts:%H}/**", zone)
    start = 1_672_531_200_000_000 + first * 13 * 3_600_000_000
    end = start + hours * 3_600_000_000
    found = template.match(pa.array(relative, pa.string()))
    assert found.starts is not None and found.ends is not None
    for at, key in enumerate(relative):
        low, high = found.starts[at].as_py(), found.ends[at].as_py()
        if not found.fits[at].as_py() or low is None or not (low < end and high > start):
            continue
        parts = key.split("/")
        for depth in range(len(parts)):
            folder = "".join(f"{part}/" for part in parts[:depth])
            assert template.folder_may_match(folder, start, end), folder


@pytest.mark.parametrize("template", ["dt={dt:%Y-%m-%d}/region={region}/*.parquet", "**"])
def test_a_million_keys_take_bounded_memory(template: str) -> None:
    day = [f"dt=2025-{1 + at % 12:02d}-{1 + at % 28:02d}/region=eu%2F{at % 7}/" for at in range(84)]
    relative = pa.array(f"{day[at % 84]}part-{at:07d}.parquet" for at in range(1_000_000))
    pool = pa.system_memory_pool()
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        before = pool.bytes_allocated()
        found = PathTemplate.parse(template, "UTC").match(relative)
        kept = pool.bytes_allocated() - before
    finally:
        pa.set_memory_pool(usual)
    assert found.fits.true_count == 1_000_000
    assert found.values["region"][8].as_py() == "eu/1"
    assert kept < 100_000_000
    assert pool.max_memory() < 500_000_000


@pytest.mark.parametrize(
    ("folder", "may"),
    [
        ("a=2025-2024/", True),
        ("a=2025-2024/2024/", True),
        ("a=2025-2024/2023/", False),
        ("a=x/", False),
        ("a=/", True),
    ],
)
def test_several_times_prune_nothing_but_what_cannot_fit(folder: str, may: bool) -> None:
    template = PathTemplate.parse("a={x:%Y}-{y:%Y}/{y:%Y}/*", "UTC")
    assert template.folder_may_match(folder, YEAR_2025, MARCH) is may
