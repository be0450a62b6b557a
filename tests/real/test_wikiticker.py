"""A day of JSON lines, compressed, to sums per channel and hour by SQL."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from raybackfill.api import Run
from tests.real.tables import assert_same, backfill, contents, query, scan

EDITS = 39_244


@dataclass(frozen=True)
class Built:
    source: Path
    target: Path
    run: Run
    contents: dict[str, pa.Table]


@pytest.fixture(scope="module")
def built(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    source, target = data_root / "wikiticker", tmp_path_factory.mktemp("wikiticker") / "table"
    run = backfill("wikiticker", source, target).run(engine="inline")
    return Built(source, target, run, contents(target))


def test_every_edit_is_counted(built: Built) -> None:
    rows = built.run.status()["rows"]
    assert (rows["read"], rows["merged"]) == (EDITS, EDITS - rows["out"])
    assert rows["out"] == sum(table.num_rows for table in built.contents.values())
    assert query(f"select sum(edits)::bigint from {scan(built.target)}").fetchall() == [(EDITS,)]


def test_sums_are_those_of_the_lines(built: Built) -> None:
    expected: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for file in built.source.glob("*.json.gz"):
        for line in gzip.decompress(file.read_bytes()).splitlines():
            edit = json.loads(line)
            sums = expected[edit["time"][:13], edit["channel"]]
            for index, value in enumerate(
                (1, edit["isRobot"], edit["added"], edit["deleted"], edit["delta"])
            ):
                sums[index] += value
    found = query(f"""
        select strftime(hour_start, '%Y-%m-%dT%H'), channel, edits, edits_by_robots, added, deleted, delta
        from {scan(built.target)}""").fetchall()
    assert len(found) == len(expected)
    assert {(hour, channel): sums for hour, channel, *sums in found} == expected


def test_delta_is_added_less_deleted(built: Built) -> None:
    assert query(f"from {scan(built.target)} where delta <> added - deleted").fetchall() == []


def test_hours_are_those_of_utc(built: Built) -> None:
    assert list(built.contents) == [f"day=2015-09-12/hour={hour:02}/part-00000.parquet" for hour in range(24)]
    wrong = f"from {scan(built.target)} where strftime(hour_start, '%Y-%m-%d %H:%M') <> day || ' ' || hour || ':00'"
    assert query(wrong).fetchall() == []


def test_a_plan_does_not_guess_how_many_rows_there_are(built: Built) -> None:
    source = backfill("wikiticker", built.source, built.target).plan().summary["source"]
    assert (source["rows"], source["rows_exact"]) == (None, False)


def test_again_it_is_the_same_table(built: Built) -> None:
    backfill("wikiticker", built.source, built.target).run(engine="inline")
    assert_same(built.contents, contents(built.target))
