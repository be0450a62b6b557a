"""verify.reconcile over whole runs: source, target and databases compared, before and after publishing."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.cli.showing.reconciled import reconciled_lines
from raybackfill.errors import IntegrityError, RaybackfillError, SpecError
from tests.bad_input.project import CONFIG, Project, day_rows, explained
from tests.written import published_files, reconciled, staged_files

pytest.importorskip("duckdb")
pytest.importorskip("sqlalchemy")

BY_DAY = """
verify:
  reconcile:
    - source: select dt, sum(value) as total, count(*) as n from source group by dt
      target: select dt, sum(value) as total, count(*) as n from target group by dt
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def entry(source: str, target: str, more: str = "") -> str:
    """A config with one entry: queries as SQL, or as the mapping that `query` makes."""
    source, target = (text if text.startswith("{") else json.dumps(text) for text in (source, target))
    return CONFIG + f"verify: {{reconcile: [{{source: {source}, target: {target}{more}}}]}}\n"


def query(sql: str, database: str = "sqlite:///truth.db") -> str:
    return f"{{database: {json.dumps(database)}, sql: {json.dumps(sql)}}}"


def truth(project: Project, rows: list[tuple[Any, ...]]) -> None:
    with sqlite3.connect(project.root / "truth.db") as connection:
        connection.execute("create table shops (shop text, total real)")
        connection.executemany("insert into shops values (?, ?)", rows)
    connection.close()


def test_source_and_target_agree_staged_and_published(project: Project) -> None:
    run = project.run(CONFIG + BY_DAY)
    for files in (staged_files(run), published_files(run)):
        (found,) = reconciled(run, files)
        assert (found.holds, found.found.matched, found.found.rows_target) == (True, 3, 3)


def test_a_job_that_loses_rows_is_found_out_by_day(project: Project) -> None:
    project.job(
        "import pyarrow.compute as pc\ndef job(rows: pa.Table) -> pa.Table:\n    return rows.filter(pc.not_equal(rows['id'], 21))\n"
    )
    run = project.run(CONFIG + 'transform: {python: "jobs.orders:job"}\n' + BY_DAY)
    (found,) = reconciled(run)
    document = found.to_json()
    assert (document["matched"], document["mismatched_keys"], document["result"]) == (2, 1, "failed")
    assert document["different_in"] == {"total": 1, "n": 1}
    assert document["examples"][1] == {
        "kind": "different",
        "key": {"dt": "2025-01-02"},
        "column": "n",
        "source": 4,
        "target": 3,
    }
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_rows_that_are_not_in_scope_are_not_in_the_source(project: Project) -> None:
    """And rows that the target keeps are in it: they are rows of the files that this run wrote."""
    old = pa.table({"id": [1, 2], "shop": ["b", "z"], "value": [7.0, 8.0]})
    project.write("gold/dt=2025-01-01/old.parquet", old)
    config = entry(
        "select shop, count(*) as n from source group by shop",
        "select shop, count(*) as n from target group by shop",
    )
    run = project.run(config + "scope: {include: {shop: [a, c], dt: [2025-01-01, 2025-01-02]}}\n")
    (found,) = reconciled(run)
    kept = [(m.kind, m.key["shop"], m.target) for m in found.found.examples]
    assert found.found.matched == 2
    assert kept == [("only_in_target", "b", {"n": 1}), ("only_in_target", "z", {"n": 1})]


def test_folders_give_their_columns_back(tmp_path: Path) -> None:
    """Decimals, nulls in folders, and names that need escapes."""
    project = Project(tmp_path, ())
    for name in ("a", "b"):
        table = pa.table(
            {
                "id": [1, 2, 3],
                "shop": ["x/y =ü", None, "z"],
                "price": pa.array(["1.10", None, "0.05"]).cast(pa.decimal128(9, 2)),
            }
        )
        project.write(f"raw/{name}.parquet", table)
    config = (
        "name: orders\nsource: {uri: raw}\ntarget: {uri: gold, partition_by: [shop]}\n"
        "verify: {reconcile: [{source: 'select shop, sum(price) as p, count(*) as n from source group by shop',"
        " target: 'select shop, sum(price) as p, count(*) as n from target group by shop'}]}\n"
    )
    run = project.run(config)
    assert {file.partition for file in staged_files(run)} > {"shop=z"}
    for files in (staged_files(run), published_files(run)):
        (found,) = reconciled(run, files)
        assert (found.holds, found.found.matched) == (True, 3)


def test_days_are_those_of_the_configs_zone(tmp_path: Path) -> None:
    project = Project(tmp_path, ())
    times = pa.array(["2025-01-01T23:30:00Z", "2025-01-02T12:00:00Z"]).cast(pa.timestamp("us", "UTC"))
    project.write("raw/a.parquet", pa.table({"seen": times}))
    with sqlite3.connect(tmp_path / "truth.db") as connection:
        connection.execute("create table days as select '2025-01-02' as day, 2 as n")
    connection.close()
    by_day = "select strftime(seen, '%Y-%m-%d') as day, count(*) as n from target group by day"
    config = entry(query("select day, n from days"), by_day).replace(CONFIG, "")
    config += "name: orders\nsource: {uri: raw}\ntarget: {uri: gold}\n"
    assert [found.holds for found in reconciled(project.run(config))] == [False]
    again = project.load(config + "timezone: Europe/Berlin\n").run(engine="inline", new=True)
    (found,) = reconciled(again)
    assert found.holds, found.to_json()


def test_a_database_is_the_truth(project: Project) -> None:
    """Day 1, 2 and 3 have 10, 20 and 30 as their first id; shop a has 1.5 + 3.5 a day."""
    truth(project, [("a", 15.004), ("b", 7.5), ("d", None)])
    target = "select shop, sum(value) as total from target group by shop"
    config = entry(query("select shop, total from shops"), target, ", tolerance: 0.01")
    run = project.run(config)
    (found,) = reconciled(run)
    document = found.to_json()
    assert document["source"] == {
        "sql": "select shop, total from shops",
        "database": f"sqlite:///{project.root}/truth.db",
        "database_env": None,
    }
    assert document["tolerance"] == "0.01" and document["seconds"] >= 0
    assert reconciled_lines([document]) == [
        "reconcile 1 by shop: 2 of 4 keys do not agree: 1 only in the source, 1 only in the target",
        "  shop = d: only in the source (total = null)",
        "  shop = c: only in the target (total = 13.5)",
    ]


def test_a_database_may_stand_on_both_sides_and_in_the_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth(project, [("a", 1.0), ("b", 2.0)])
    monkeypatch.setenv("TRUTH_URL", f"sqlite:///{project.root}/truth.db")
    config = entry(
        "{database_env: TRUTH_URL, sql: select * from shops}",
        query("select total + (shop = 'b') as total, shop from shops"),
    )
    (found,) = reconciled(project.run(config))
    assert reconciled_lines([found.to_json()]) == [
        "reconcile 1 by shop: 1 of 2 keys does not agree: 1 differ",
        "  shop = b: total is 2.0 in the source, 3.0 in the target",
    ]


def test_what_a_person_reads_of_entries_that_agree_repeat_or_are_empty(project: Project) -> None:
    truth(project, [("a", 1.0), ("a", 1.0)])
    more = [("select 1 as k, 2 as v", "select 1 as k, 2.001 as v", ", tolerance: 0.1%")]
    more += [("select id from source where id < 0", "select id from target where id < 0", "")]
    entries = [
        f"{{source: {s}, target: {t}{m}}}"
        for s, t, m in [
            (query("select * from shops"), query("select * from shops"), ""),
            *((json.dumps(s), json.dumps(t), m) for s, t, m in more),
        ]
    ]
    config = CONFIG + f"verify: {{reconcile: [{', '.join(entries)}]}}\n"
    assert reconciled_lines([found.to_json() for found in reconciled(project.run(config))]) == [
        "reconcile 1 by shop: 1 of 1 key does not agree: 1 more than one row",
        "  shop = a: 2 rows in the source, 2 in the target",
        "reconcile 2 by k: 1 key, all agree, within 0.1%",
        "reconcile 3 by id: neither side has a row, so nothing was compared",
    ]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (entry("select nope from source", "select id from target"), ["verify.reconcile[0].source", "nope"]),
        (
            entry("select id from source", "select id from orders"),
            ["reconcile[0].target", "name orders does not exist"],
        ),
        (
            entry("select id from source", "select id, shop from target"),
            ["reconcile[0]", "only the target's query gives shop"],
        ),
        (
            entry("select shop as id from source", "select id from target"),
            ["column id is text in the source and a number"],
        ),
        (entry("select id from source", "select id from target", ", keys: [dt]"), ["keys names dt"]),
        (
            entry("select id from source", "select max(id) as id from target where now() > dt"),
            ["now gives another answer"],
        ),
        (
            entry("select id from source; select 1", "select id from target"),
            ["reconcile[0].source", "one select statement"],
        ),
        (
            entry(query("select 1 as id", "nosuch://host/db"), "select id from target"),
            ["SQLAlchemy knows no database nosuch"],
        ),
        (entry(query("select 1 as id"), "select id from target"), ["there is no database", "truth.db"]),
        (
            entry(query("select 1 as id", "sqlite://"), "select nope from target"),
            ["reconcile[0].target", "nope"],
        ),
        (entry(query("delete from shops"), "select id from target"), ["a database is only asked"]),
        (
            entry("{database_env: NO_SUCH_URL, sql: select 1}", "select id from target"),
            ["environment has no NO_SUCH_URL"],
        ),
    ],
)
def test_a_wrong_entry_is_refused_with_the_plan(project: Project, config: str, words: list[str]) -> None:
    """Hours of work would be lost on a query that never could have run."""
    assert "NO_SUCH_URL" not in os.environ
    explained(project.refused(config), "SpecError", 2, *words)
    assert project.load(CONFIG).runs() == []


def test_what_a_database_refuses_is_seen_when_it_is_asked(project: Project) -> None:
    truth(project, [])
    with pytest.raises(SpecError, match="no such column: nope") as caught:
        project.run(entry(query("select nope from shops"), "select shop from target"))
    assert caught.value.where == "verify.reconcile[0].source"
    assert project.table() == {}, "nothing is published"


def test_a_source_that_changed_since_the_plan_is_no_truth(project: Project) -> None:
    run = project.run(CONFIG + BY_DAY)
    project.write("raw/dt=2025-01-02/orders.parquet", day_rows("2025-01-03"))
    with pytest.raises(IntegrityError, match="changed since the plan") as caught:
        reconciled(run)
    assert "dt=2025-01-02" in caught.value.where


def test_a_broken_file_of_the_target_is_an_error_that_names_it(project: Project) -> None:
    run = project.run(CONFIG + BY_DAY)
    file = next(project.gold.rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-4] + b"XXXX")
    with pytest.raises(RaybackfillError) as caught:
        reconciled(run, published_files(run))
    assert str(file) in str(caught.value)


def test_a_repair_in_place_is_compared_until_it_is_published(project: Project) -> None:
    config = (
        "name: repair\nsource: {uri: gold, path: 'dt={dt:%Y-%m-%d}/*'}\ntarget: {uri: gold, partition_by: [dt]}\n"
        + BY_DAY
    )
    for day in ("2025-01-01", "2025-01-02"):
        project.write(f"gold/dt={day}/a.parquet", day_rows(day))
    backfill = project.load(config)
    staged = backfill.run(engine="inline", publish=False)
    (found,) = reconciled(staged)
    assert (found.holds, found.found.matched) == (True, 2)
    published = staged.resume(engine="inline")
    with pytest.raises(SpecError, match="has replaced what it read there"):
        reconciled(published, published_files(published))


def test_no_entry_reads_nothing(project: Project) -> None:
    assert reconciled(project.run()) == []
    assert pq.read_table(next(project.gold.rglob("*.parquet")), partitioning=None).num_rows == 4


def test_what_does_not_agree_refuses_the_publish_with_its_keys(project: Project) -> None:
    truth(project, [("a", 15.0), ("b", 1.0)])
    config = entry(
        query("select shop, total from shops"), "select shop, sum(value) as total from target group by shop"
    )
    run = project.run(config)
    assert run.exit_code == 4 and run.gate is not None
    assert (run.gate.name, "mismatched: b" in run.gate.reason) == ("verified", True)
    assert project.table() == {}, "nothing is published"
    document = run.verify(engine="inline")
    assert [check["name"] for check in document["checks"] if check["result"] == "failed"] == ["reconcile"]
    assert document["reconcile"][0]["examples"][0]["key"] == {"shop": "b"}
