"""Two repositories' change logs by month: one lost, doubled or reordered event would break a chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from raybackfill.api import Run
from tests.real.tables import assert_same, backfill, contents, query, run_with_a_break, scan

EVENTS = {"arrow": 132_266, "polars": 100_259}
COLUMNS = (
    "repo, seq, commit, commit_ts, author_ts, commit_iso, op, path, old_mode, new_mode, old_blob, new_blob"
)


@dataclass(frozen=True)
class Built:
    source: Path
    target: Path
    run: Run
    contents: dict[str, pa.Table]


@pytest.fixture(scope="module")
def built(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The table, by a run that was stopped between the two repositories."""
    source, target = data_root / "git_events", tmp_path_factory.mktemp("git_events") / "table"
    return Built(
        source, target, run_with_a_break(backfill("git_events", source, target), 1), contents(target)
    )


def test_every_event_arrives(built: Built) -> None:
    rows = built.run.status()["rows"]
    assert rows["read"] == rows["out"] == sum(EVENTS.values()) == 232_525
    found = query(f"select repository, count(*) from {scan(built.target)} group by all").fetchall()
    assert dict(found) == EVENTS


def test_every_event_is_as_it_was(built: Built) -> None:
    before = f"select {COLUMNS} from '{built.source}/*.events.parquet'"
    after = f"select {COLUMNS} from {scan(built.target)}"
    assert query(f"({before}) except all ({after})").fetchall() == []
    assert query(f"({after}) except all ({before})").fetchall() == []


def test_folders_are_the_repository_and_the_month_in_utc(built: Built) -> None:
    wrong = f"""from {scan(built.target)}
        where month <> strftime(commit_ts, '%Y-%m') or repository <> repo"""
    assert query(f"select count(*) {wrong}").fetchall() == [(0,)]
    assert "repository=polars/month=2020-06/part-00000.parquet" in built.contents


def test_files_are_in_the_order_of_events(built: Built) -> None:
    for path, table in built.contents.items():
        seq = table["seq"].to_pylist()
        assert seq == sorted(seq), path


def test_no_chain_of_a_path_is_broken(built: Built) -> None:
    """Each event's old blob is what the event before it left."""
    breaks = f"""
        with chained as (
            select op, old_blob, lag(new_blob) over (partition by repository, path order by seq) as before
            from {scan(built.target)})
        select count(*), count(before) from chained where old_blob is distinct from before"""
    assert query(breaks).fetchall() == [(0, 0)]


def test_the_last_events_are_what_git_says_the_tree_is(built: Built) -> None:
    fold = f"""
        select repo, path, new_mode, new_blob from {scan(built.target)}
        qualify row_number() over (partition by repo, path order by seq desc) = 1 and op <> 'D'"""
    answer = f"""
        select repo, path, mode, blob from '{built.source}/*.state.parquet'
        qualify as_of_seq = max(as_of_seq) over (partition by repo)"""
    assert query(f"({fold}) except all ({answer})").fetchall() == []
    assert query(f"({answer}) except all ({fold})").fetchall() == []


def test_again_it_is_the_same_table(built: Built) -> None:
    backfill("git_events", built.source, built.target).run(engine="inline")
    assert_same(built.contents, contents(built.target))
