"""Days and hours of zones whose clocks change: which rows are replaced, and where they lie.

The oracle knows nothing of ours: it asks zoneinfo, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill import api
from raybackfill.errors import SpecError

STEP = timedelta(minutes=20)
BERLIN, SAO_PAULO = "Europe/Berlin", "America/Sao_Paulo"
DAY = 'day: "{ts:%Y-%m-%d}"'
LAYOUTS = {"day": f"{{{DAY}}}", "hour": f'{{{DAY}, hour: "{{ts:%H}}"}}'}
# Zone -> around which instant (UTC) its clocks change, and the windows that are replaced.
WINDOWS = [
    # Berlin, 23 hours: 02:00 is skipped.
    (BERLIN, "2025-03-30T01:00Z", "2025-03-30", "2025-03-31"),
    (BERLIN, "2025-03-30T01:00Z", "2025-03-29", "2025-03-30"),
    (BERLIN, "2025-03-30T01:00Z", "2025-03-30T01:40", "2025-03-30T03:20"),
    # Berlin, 25 hours: 02:00 to 03:00 is there twice.
    (BERLIN, "2025-10-26T01:00Z", "2025-10-26", "2025-10-27"),
    (BERLIN, "2025-10-26T01:00Z", "2025-10-25", "2025-10-26"),
    (BERLIN, "2025-10-26T01:00Z", "2025-10-26T02:20+02:00", "2025-10-26T02:20+01:00"),
    (BERLIN, "2025-10-26T01:00Z", "2025-10-26T02:00+01:00", "2025-10-26T04:00"),
    # São Paulo: the day begins at 01:00, for midnight is skipped.
    (SAO_PAULO, "2018-11-04T03:00Z", "2018-11-04", "2018-11-05"),
    (SAO_PAULO, "2018-11-04T03:00Z", "2018-11-03", "2018-11-04"),
    (SAO_PAULO, "2018-11-04T03:00Z", "2018-11-03T23:40", "2018-11-04T01:20"),
    # São Paulo: at midnight it is 23:00 of the day before again, which so has 25 hours.
    (SAO_PAULO, "2018-02-18T02:00Z", "2018-02-17", "2018-02-18"),
    (SAO_PAULO, "2018-02-18T02:00Z", "2018-02-18", "2018-02-19"),
    (SAO_PAULO, "2018-02-18T02:00Z", "2018-02-17T23:20-02:00", "2018-02-17T23:20-03:00"),
]

Row = dict[str, Any]


def moment(text: str, zone: str) -> datetime | date:
    """A bound as Python reads it: a date, or an instant."""
    if "T" not in text:
        return date.fromisoformat(text)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))


def is_within(instant: datetime, zone: str, start: str, end: str) -> bool:
    def not_before(bound: datetime | date) -> bool:
        if isinstance(bound, datetime):
            # Compared as instants: of two times of one zone Python compares what clocks show.
            return instant >= bound.astimezone(UTC)
        return instant.astimezone(ZoneInfo(zone)).date() >= bound

    return not_before(moment(start, zone)) and not not_before(moment(end, zone))


def folder_of(instant: datetime, zone: str, layout: str) -> str:
    local = instant.astimezone(ZoneInfo(zone))
    return local.strftime("day=%Y-%m-%d" if layout == "day" else "day=%Y-%m-%d/hour=%H")


@dataclass(frozen=True)
class Kind:
    """How the source says when a row was. `seen` is the instant that its rows stand for."""

    config: str
    files: Callable[[list[datetime], ZoneInfo], Iterator[tuple[str, pa.Table]]]
    seen: Callable[[datetime, ZoneInfo], datetime]


def table(ids: list[int], **times: pa.Array) -> pa.Table:
    return pa.table({"id": ids, "value": [1] * len(ids), **times})


def as_instants(instants: list[datetime], zone: ZoneInfo) -> Iterator[tuple[str, pa.Table]]:
    times = pa.array(instants, pa.timestamp("us", "UTC"))
    # Several row groups, which are left out by their statistics.
    yield "all.parquet", table(list(range(len(instants))), ts=times)


def as_naive(instants: list[datetime], zone: ZoneInfo) -> Iterator[tuple[str, pa.Table]]:
    times = [instant.astimezone(zone).replace(tzinfo=None) for instant in instants]
    yield "all.parquet", table(list(range(len(instants))), ts=pa.array(times, pa.timestamp("us")))


def by_hour(instants: list[datetime], zone: ZoneInfo) -> Iterator[tuple[str, pa.Table]]:
    found: dict[str, list[int]] = {}
    for at, instant in enumerate(instants):
        found.setdefault(instant.astimezone(zone).strftime("%Y-%m-%d/%H"), []).append(at)
    for name, ids in found.items():
        yield f"{name}.parquet", table(ids)


def first_of_two(instant: datetime, zone: ZoneInfo) -> datetime:
    """What a time without an offset stands for, where the zone has it twice."""
    return instant.astimezone(zone).replace(fold=0).astimezone(UTC)


def hour_of(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(minute=0, fold=0).astimezone(UTC)


KINDS = {
    "instants": Kind("source: {uri: raw}", as_instants, lambda instant, zone: instant),
    "naive": Kind("source: {uri: raw}", as_naive, first_of_two),
    "paths": Kind('source: {uri: raw, path: "{ts:%Y-%m-%d}/{ts:%H}.parquet"}', by_hour, hour_of),
}
BUMPED = 'transform: {sql: "select id, value + 1000 as value, ts from input"}'


def config(zone: str, kind: Kind, layout: str, start: str, end: str) -> str:
    return f"""
name: clicks
timezone: {zone}
{kind.config}
scope: {{start: "{start}", end: "{end}", column: ts}}
{BUMPED}
target: {{uri: gold, partition_by: {LAYOUTS[layout]}}}
"""


def rows_by_folder(gold: Path) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for file in gold.rglob("*.parquet"):
        rows = pq.ParquetFile(file).read(["id", "value"]).to_pylist()
        found.setdefault(file.parent.relative_to(gold).as_posix(), []).extend(
            (row["id"], row["value"]) for row in rows
        )
    return {folder: sorted(rows) for folder, rows in found.items()}


def around(change: str) -> list[datetime]:
    """Four days, and the last microsecond before the change."""
    middle = datetime.fromisoformat(change)
    return [*(middle + at * STEP for at in range(-4 * 36, 4 * 36)), middle - timedelta(microseconds=1)]


def write_source(root: Path, kind: Kind, instants: list[datetime], zone: str) -> None:
    for name, rows in kind.files(instants, ZoneInfo(zone)):
        (root / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, root / "raw" / name, row_group_size=24)


def write_live_table(root: Path, kind: Kind, instants: list[datetime], zone: str, layout: str) -> None:
    """The table as it lies there, written by others: every row once, its times as instants."""
    found: dict[str, list[int]] = {}
    for at, instant in enumerate(instants):
        seen = kind.seen(instant, ZoneInfo(zone))
        found.setdefault(folder_of(seen, zone, layout), []).append(at)
    naive = kind is KINDS["naive"]
    for folder, ids in found.items():
        times = [kind.seen(instants[at], ZoneInfo(zone)) for at in ids]
        shown = [time.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for time in times] if naive else times
        live = table(ids, ts=pa.array(shown, pa.timestamp("us", None if naive else "UTC")))
        (root / "gold" / folder).mkdir(parents=True)
        pq.write_table(live, root / "gold" / folder / "live.parquet")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("zone", "change", "start", "end"), WINDOWS)
def test_a_window_is_replaced_and_all_else_is_kept(
    tmp_path: Path, zone: str, change: str, start: str, end: str, layout: str, kind: str
) -> None:
    how = KINDS[kind]
    instants = around(change)
    write_source(tmp_path, how, instants, zone)
    write_live_table(tmp_path, how, instants, zone, layout)
    (tmp_path / "clicks.yaml").write_text(config(zone, how, layout, start, end))
    asked = api.load(tmp_path / "clicks.yaml")
    if kind == "paths" and "T" in start:
        # Of an hour that is there twice too, one path holds all.
        with pytest.raises(SpecError, match="within"):
            asked.run(engine="inline")
        return
    ended = asked.run(engine="inline")
    assert ended.exit_code == 0
    expected: dict[str, list[tuple[int, int]]] = {}
    replaced = 0
    for at, instant in enumerate(instants):
        seen = how.seen(instant, ZoneInfo(zone))
        within = is_within(seen, zone, start, end)
        replaced += within
        expected.setdefault(folder_of(seen, zone, layout), []).append((at, 1001 if within else 1))
    assert 0 < replaced < len(instants)
    assert rows_by_folder(tmp_path / "gold") == {folder: sorted(rows) for folder, rows in expected.items()}
    assert ended.status()["rows"]["out"] == replaced


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, "2025-03-30", 23), (BERLIN, "2025-10-26", 25), (BERLIN, "2025-10-27", 24),
        (SAO_PAULO, "2018-11-04", 23), (SAO_PAULO, "2018-02-17", 25), (SAO_PAULO, "2018-02-18", 24),
    ],
)  # fmt: skip
def test_a_day_has_the_zone_s_hours(tmp_path: Path, zone: str, day: str, hours: int) -> None:
    following = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    instants = around(f"{day}T12:00Z")[:-1]
    write_source(tmp_path, KINDS["instants"], instants, zone)
    (tmp_path / "clicks.yaml").write_text(config(zone, KINDS["instants"], "day", day, following))
    ended = api.load(tmp_path / "clicks.yaml").run(engine="inline")
    assert list(rows_by_folder(tmp_path / "gold")) == [f"day={day}"]
    assert ended.status()["rows"]["out"] == hours * 3


@pytest.mark.parametrize(("zone", "day"), [(BERLIN, "2025-03-30"), (SAO_PAULO, "2018-11-04")])
def test_no_hour_that_the_zone_skips_is_missed(tmp_path: Path, zone: str, day: str) -> None:
    """The source has every hour that there is: a plan must not miss one that there is not."""
    following = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    write_source(tmp_path, KINDS["paths"], around(f"{day}T12:00Z"), zone)
    (tmp_path / "clicks.yaml").write_text(config(zone, KINDS["paths"], "hour", day, following))
    plan = api.load(tmp_path / "clicks.yaml").plan().to_json()
    assert (plan["partitions"]["count"], plan["partitions"]["missing"]) == (23, 0)
    assert plan["target"]["partitions_new"] == 23


@pytest.mark.parametrize("in_paths", [True, False], ids=["paths", "columns"])
@pytest.mark.parametrize(
    ("zone", "first"), [(BERLIN, "2025-03-29"), (SAO_PAULO, "2018-11-03"), (SAO_PAULO, "2018-02-16")]
)
def test_a_date_is_the_zone_s_day_though_its_midnight_is_skipped(
    tmp_path: Path, zone: str, first: str, in_paths: bool
) -> None:
    days = [date.fromisoformat(first) + timedelta(days=at) for at in range(4)]
    (tmp_path / "raw").mkdir()
    for day in days:
        times = {} if in_paths else {"dt": pa.array([day], pa.date32())}
        pq.write_table(table([day.day], **times), tmp_path / "raw" / f"{day}.parquet")
    path = ', path: "{dt:%Y-%m-%d}.parquet"' if in_paths else ""
    (tmp_path / "days.yaml").write_text(
        f"name: days\ntimezone: {zone}\nsource: {{uri: raw{path}}}\n"
        f"scope: {{start: {days[1]}, end: {days[2]}, column: dt}}\ntarget: {{uri: gold, partition_by: [dt]}}\n"
    )
    assert api.load(tmp_path / "days.yaml").run(engine="inline").exit_code == 0
    assert rows_by_folder(tmp_path / "gold") == {f"dt={days[1]}": [(days[1].day, 1)]}
