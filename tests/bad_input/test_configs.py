"""Configs that say what cannot be: refused before anything is looked at, at their line."""

from __future__ import annotations

import pytest

from raybackfill import api
from raybackfill.errors import SpecError
from tests.bad_input.project import CONFIG, PYTHON, Project, explained

BERLIN = CONFIG + "timezone: Europe/Berlin\n"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("name: [x\n  y: {", ["orders.yaml:2", "not YAML"]),
        ("name: x\n\tsource: y", ["orders.yaml:2", "indent with spaces"]),
        ("- a\n- b\n", ["is a list", "write a mapping"]),
        ("", ["is empty", "name, source and target"]),
        ("name: !!python/object:os.system x\n", ["tag"]),
        (CONFIG + "---\nname: y\n", ["second document"]),
        (CONFIG + "sorce: x\n", ["orders.yaml:5", "sorce", "did you mean source"]),
        (CONFIG + "name: again\n", ["name is written twice", "orders.yaml:2"]),
        (CONFIG.replace("uri: gold,", "uri: gold, uri: silver,"), ["uri is written twice"]),
        (CONFIG.replace("name: orders", "name: Orders!"), ["Orders! is not a name"]),
        (CONFIG.replace("target:", "sink:"), ["sink", "is not a key"]),
        (CONFIG + "keys: {columns: [id]}\n", ["keys", "not in this version"]),
        (CONFIG + "scope: {start: 2025-04-31}\n", ["scope.start", "2025-04-31 is not a date", "YYYY-MM-DD"]),
        (CONFIG + "scope: {start: yesterday}\n", ["scope.start", "yesterday"]),
        (CONFIG + "scope: {start: 2025-02-01, end: 2025-01-01}\n", ["scope.end", "not after the start"]),
        (CONFIG + "scope: {start: 2025-02-01, end: 2025-02-01}\n", ["scope.end", "first instant outside"]),
        (BERLIN + "scope: {start: 2025-10-26T02:30}\n", ["occurs twice", "02:30+02:00", "02:30+01:00"]),
        (BERLIN + "scope: {start: 2025-03-30T02:30}\n", ["does not exist in Europe/Berlin", "+01:00"]),
        (CONFIG + "timezone: Europe/Berln\n", ["timezone", "did you mean Europe/Berlin"]),
        (
            CONFIG.replace("uri: gold,", "uri: raw/gold,"),
            ["target.uri", "inside the source", "beside each other"],
        ),
        (
            CONFIG.replace("uri: raw,", "uri: gold/raw,"),
            ["target.uri", "holds the source", "beside each other"],
        ),
        (CONFIG + "state: gold/state\n", ["state", "in the target"]),
        (CONFIG.replace("uri: gold,", "uri: gold, mode: upsert,"), ["upsert is not in this version"]),
        (CONFIG.replace("[dt]", "[_dt]"), ["partition_by", "_dt"]),
        (CONFIG.replace("{dt:%Y-%m-%d}", "{dt:%Q}"), ["%Q"]),
        (CONFIG + "transform: {python: jobs.orders.job}\n", ["transform.python", "module:function"]),
        (PYTHON + "limits: {worker_memory: lots}\n", ["limits.worker_memory", "lots"]),
    ],
)
def test_a_wrong_config(project: Project, config: str, words: list[str]) -> None:
    error = project.refused(config)
    explained(error, "SpecError", 2, *words)
    assert not (project.root / "_raybackfill").exists(), "nothing was looked at"


@pytest.mark.parametrize(
    ("config", "secret"),
    [
        (
            CONFIG.replace("uri: raw,", "uri: raw, storage: {aws_secret_access_key: wJalrXUtnFEMI},"),
            "wJalrXUtnFEMI",
        ),
        (CONFIG.replace("uri: raw", "uri: https://user:hunter2@host/raw"), "hunter2"),
        (CONFIG.replace("uri: raw", "uri: s3://AKIAIOSFODNN7EXAMPLE/raw"), "AKIAIOSFODNN7EXAMPLE"),
        (PYTHON.replace('job"}', 'job", params: {password: hunter2}}'), "hunter2"),
    ],
)
def test_a_secret_is_refused_and_not_repeated(project: Project, config: str, secret: str) -> None:
    error = project.refused(config)
    explained(error, "SpecError", 2, "secret" if "password" in config else "", "AWS chain")
    assert secret not in str(error)


def test_a_file_that_is_no_config(project: Project) -> None:
    wrong = project.root / "binary.yaml"
    wrong.write_bytes(b"\xff\xfe\x00name")
    for path, word in (
        (wrong, "not UTF-8"),
        (project.root, "directory"),
        (project.root / "no.yaml", "No such"),
    ):
        with pytest.raises(SpecError) as caught:
            api.load(path)
        explained(caught.value, "SpecError", 2, str(path), word)


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("{start: 2025-01-01, column: ts}", ["scope.column", "no column ts"]),
        ("{include: {nope: [a]}}", ["scope.include.nope", "no column nope", "job's output"]),
        ("{include: {id: [abc]}}", ["scope.include.id", "'abc' is not a value of type int64"]),
        ("{start: 2025-01-01, column: id}", ["scope.column", "id", "int64"]),
    ],
)
def test_a_scope_that_the_rows_cannot_answer(project: Project, scope: str, words: list[str]) -> None:
    explained(project.refused(CONFIG + f"scope: {scope}\n"), "SpecError", 2, *words)


def test_a_scope_over_a_column_that_the_job_drops(project: Project) -> None:
    project.job("def job(rows: pa.Table): return rows.drop_columns(['shop'])\n")
    error = project.refused(PYTHON + "scope: {include: {shop: [a]}}\n")
    explained(error, "SpecError", 2, "scope.include.shop", "keep it in the job's output")
    project.job("def job(rows: pa.Table): return rows.rename_columns(['id', 'shop', 'value', 'day'])\n")
    config = PYTHON.replace("[dt]", "[shop]") + "scope: {start: 2025-01-02}\n"
    explained(project.refused(config), "SpecError", 2, "scope.column", "no column dt", "job's output")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("sort_by: [nope]", ["target.sort_by", "no column nope", "it gives"]),
        ("schema: {nope: int64}", ["target.schema", "no column nope", "it gives"]),
        ("schema: {value: string}", ["target.schema", "value", "double does not fit string"]),
        ("schema: {value: int64}", ["target.schema", "value", "1.5", "does not fit int64"]),
    ],
)
def test_a_target_that_the_job_does_not_fit(project: Project, target: str, words: list[str]) -> None:
    error = project.refused(CONFIG.replace("uri: gold,", f"uri: gold, {target},"))
    explained(error, "SpecError", 2, *words)


def test_a_target_that_lies_otherwise_than_is_said(project: Project) -> None:
    assert project.run().exit_code == 0
    error = project.refused(CONFIG.replace("[dt]", "[shop]"))
    explained(error, "SpecError", 2, "target.partition_by", "dt=2025-01-01/part-00000.parquet")


# Rows of the job's output that are out of scope.

MOVED = 'transform: {sql: "select id + 1 as id, shop, value, dt from input"}\n'


def test_rows_out_of_scope_stop_the_run(project: Project) -> None:
    error = project.refused(CONFIG + MOVED + "scope: {include: {id: [11]}}\n")
    explained(error, "UnitError", 3, "1 row(s) out of scope", "id = 12", "outside_scope: filter")


def test_rows_out_of_scope_are_left_out_and_counted_where_asked(project: Project) -> None:
    config = CONFIG.replace("uri: gold,", "uri: gold, outside_scope: filter,") + MOVED
    run = project.run(config + "scope: {include: {id: [11, 12]}}\n")
    assert run.exit_code == 0
    rows = run.status()["rows"]
    assert (rows["read"], rows["filtered"], rows["out"]) == (12, 11, 1)
    assert [row["id"] for row in project.table()["dt=2025-01-01"]] == [12]


def test_rows_in_scope_that_move_to_a_partition_outside(project: Project) -> None:
    assert project.run().exit_code == 0
    project.job(
        "import datetime\n"
        "def job(rows: pl.DataFrame): return rows.with_columns(shop=pl.lit('a'), dt=pl.lit(datetime.date(2025, 2, 1)))\n"
    )
    error = project.refused(PYTHON + "scope: {include: {dt: [2025-01-02]}}\n")
    assert (error.exit_code, "out of scope" in str(error)) == (3, True)
