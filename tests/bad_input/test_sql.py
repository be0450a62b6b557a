"""Queries that are wrong, look too far, or change their answer."""

from __future__ import annotations

import json

import pytest

from tests.bad_input.project import CONFIG, Project, explained

pytest.importorskip("duckdb")


def with_sql(query: str, more: str = "") -> str:
    return CONFIG + f"transform: {{sql: {json.dumps(query)}{more}}}\n"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("selct 1", ["syntax error", "selct"]),
        ("drop table input", ["SELECT"]),
        ("copy input to '/tmp/rows.csv'", ["SELECT"]),
        ("select * from input; select 1", ["one select statement is expected, found 2"]),
        ("select nope from input", ["nope"]),
        ("select * from nowhere", ["nowhere"]),
        ("select * from read_csv('/etc/passwd')", ["file system operations are disabled"]),
        ("select cast(shop as int) as id, dt from input", ["Could not convert"]),
        ("select *, $vat * value as vat from input", ["$vat has no value", "transform.params"]),
        ("select id, id as id, dt from input", ["column id twice"]),
        ("select id, null as note, dt from input", ["note", "only nulls", "schema: {note: string}"]),
        ("select id from input", ["no column dt"]),
        ("no/such/file.sql", ["no/such/file.sql", "No such file"]),
        ("../outside.sql", ["outside.sql", "not below the project"]),
    ],
)
def test_a_wrong_query(project: Project, query: str, words: list[str]) -> None:
    error = project.refused(with_sql(query))
    assert (error.kind, error.exit_code) == ("SpecError", 2), str(error)
    assert not [word for word in words if word not in str(error)], str(error)
    assert project.load(CONFIG).runs() == []


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("select sum(value) as total, dt from input group by dt", "group by"),
        ("select avg(value) as mean from input", "aggregate avg"),
        ("select distinct dt, shop from input", "distinct"),
        ("select * from input order by id", "order by"),
        ("select * from input limit 1", "limit"),
        ("select *, row_number() over () as n from input", "window"),
        ("select * from input qualify row_number() over () = 1", "window"),
        ("select * from input where id in (select max(id) from input)", "aggregate max"),
        ("select * from input union select * from input", "union"),
        ("select * from input tablesample 50%", "sample"),
        ("select * from (select * from input using sample 2) where id in (1, 2)", "sample"),
        ("select a.* from input a join input b using (dt)", "row by row"),
        ("select 1 as one, max(dt) as dt from input", "aggregate max"),
    ],
)
def test_a_query_that_looks_beyond_its_row(project: Project, query: str, word: str) -> None:
    explained(project.refused(with_sql(query)), "SpecError", 2, word, "per: partition")


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("select *, random() as r from input", "random"),
        ("select *, now() as r from input", "now"),
        ("select *, current_date as r from input", "current_date"),
        ("select *, uuid() as r from input", "uuid"),
        ("select * from input using sample 2", "sample"),
    ],
)
def test_a_query_that_answers_differently_each_time(project: Project, query: str, word: str) -> None:
    error = project.refused(with_sql(query, ", per: partition"))
    explained(error, "SpecError", 2, word, "another answer each time")


def test_a_predicate_over_more_than_a_row(project: Project) -> None:
    for where, word in (("value > avg(value)", "aggregate"), ("nope > 1", "nope"), ("value >", "syntax")):
        config = CONFIG.replace("uri: raw,", f'uri: raw, where: "{where}",')
        error = project.refused(config)
        assert (error.kind, error.exit_code, word in str(error)) == ("SpecError", 2, True), str(error)


def test_what_looks_alike_but_stays_within_its_row_is_run(project: Project) -> None:
    run = project.run(
        with_sql("select id, upper(shop) as shop, dt, unnest([1, 2]) as n from input where id in (10, 11)")
    )
    assert run.exit_code == 0
    assert run.status()["rows"]["filtered"] == 8
    assert [row["shop"] for row in project.table()["dt=2025-01-01"]] == ["A", "A", "B", "B"]
