"""Jobs that raise, lie, or are not there."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.bad_input.project import CONFIG, PER_PARTITION, PYTHON, Project, explained

WHOLE = "def job(rows: pa.Table): return rows\n"
LATE = "def job(rows: pa.Table):\n    if rows['id'][0].as_py() < 20: return rows\n    "
"""Good for the first day, which the plan tries it on; then ..."""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def job(rows: pa.Table): raise ValueError('boom')\n", ["ValueError: boom", "jobs/orders.py:3"]),
        (
            "def job(rows: pa.Table):\n    import sys\n    sys.exit(0)\n",
            ["SystemExit: 0", "jobs/orders.py:5"],
        ),
        ("def job(rows: pa.Table): return [1, 2]\n", ["expected a pyarrow.Table, got list"]),
        ("def job(rows: pa.Table): pass\n", ["got NoneType"]),
        (
            "def job(rows: pl.DataFrame): return rows.to_dicts()\n",
            ["polars DataFrame or LazyFrame, got list"],
        ),
        ("def job(rows: pa.Table):\n    yield rows\n", ["got generator"]),
        ("def job(rows: pl.LazyFrame): return rows.select('nope')\n", ["ColumnNotFoundError", "nope"]),
    ],
)
def test_a_job_that_fails_on_the_sample_is_not_run(project: Project, body: str, words: list[str]) -> None:
    project.job(body)
    explained(project.refused(PYTHON), "SpecError", 2, "jobs.orders:job", "sample", *words)
    assert project.load(PYTHON).runs() == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('late')\n", ["KeyError", "late", "jobs/orders.py:5"]),
        ("raise SystemExit(0)\n", ["SystemExit"]),
        ("return rows.drop_columns(['value'])\n", ["no column value", "the same columns"]),
        ("return rows.append_column('more', rows['id'])\n", ["column more is not in the schema"]),
        ("return rows.append_column('id', rows['id'])\n", ["column id stands twice"]),
        (
            "return rows.set_column(0, 'id', pa.array(['x'] * rows.num_rows))\n",
            ["id: string does not fit int64"],
        ),
        ("return rows.set_column(2, 'value', pa.array([None] * rows.num_rows))\n", []),
    ],
)
def test_a_job_that_gives_something_else_later_stops_the_run(
    project: Project, body: str, words: list[str]
) -> None:
    project.job(LATE + body)
    if not words:
        # Nulls fit every type, whatever the sample showed.
        assert project.run(PER_PARTITION).exit_code == 0
        return
    error = project.refused(PER_PARTITION)
    assert (error.kind, error.exit_code) == ("UnitError", 3)
    assert "dt=2025-01-02/orders.parquet" in str(error), "it names the object that it happened with"
    assert not [word for word in words if word not in str(error)], str(error)
    run = project.load(PER_PARTITION).newest_run()
    assert (run.status()["state"], run.status()["units"]["failed"]) == ("stopped", 1)


def test_duplicate_column_names(project: Project) -> None:
    project.job("def job(rows: pa.Table): return rows.append_column('id', rows['id'])\n")
    error = project.refused(PYTHON)
    assert (error.exit_code, "column id twice" in str(error)) == (2, True)


@pytest.mark.parametrize(
    "body",
    [
        "import random\ndef job(rows: pa.Table):\n"
        "    return rows.set_column(2, 'value', pa.array([random.random() for _ in range(len(rows))]))\n",
        "calls = []\ndef job(rows: pa.Table):\n    calls.append(1)\n"
        "    return rows.set_column(2, 'value', pa.array([float(len(calls))] * len(rows)))\n",
        "def job(rows: pa.Table): return rows.group_by('dt').aggregate([('value', 'sum')])\n",
        "def job(rows: pl.LazyFrame): return rows.group_by('dt').agg(pl.col('value').sum())\n",
        "def job(rows: pa.Table): return rows.slice(0, 1)\n",
        "def job(rows: pl.DataFrame): return rows.with_row_index('n')\n",
    ],
    ids=["random", "state", "aggregate", "polars aggregate", "first row", "row numbers"],
)
def test_what_does_not_work_row_by_row_is_refused_with_the_plan(project: Project, body: str) -> None:
    project.job(body)
    explained(
        project.refused(PYTHON), "SpecError", 2, "transform.per", "does not work row by row", "per: partition"
    )


@pytest.mark.parametrize(
    "body",
    [
        "def job(rows: pl.DataFrame):\n    rows.insert_column(0, pl.Series('more', rows['id'] + 1))\n    return rows\n",
        "import pandas as pd\ndef job(rows: pd.DataFrame):\n    rows['more'] = rows['id'] + 1\n    return rows\n",
    ],
    ids=["polars", "pandas"],
)
def test_a_job_may_change_its_input_in_place(project: Project, body: str) -> None:
    if "pandas" in body:
        pytest.importorskip("pandas")
    project.job(body)
    assert project.run(PYTHON).exit_code == 0
    found = [row for rows in project.table().values() for row in rows]
    assert len(found) == 12
    assert all(row["more"] == row["id"] + 1 for row in found)


def test_values_changed_in_place_stay_out_of_the_sample(project: Project) -> None:
    pytest.importorskip("pandas")
    project.job(
        "import pandas as pd\ndef job(rows: pd.DataFrame):\n    rows.loc[:, 'value'] = rows['value'] * 2\n    return rows\n"
    )
    assert project.run(PYTHON).exit_code == 0
    assert [row["value"] for row in project.table()["dt=2025-01-02"]] == [3.0, 5.0, 7.0, 9.0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def job(rows) return rows\n", ["SyntaxError", "jobs/orders.py:3"]),
        ("raise SystemExit(0)\n", ["SystemExit", "jobs/orders.py:3"]),
        ("import no_such_package\n" + WHOLE, ["no_such_package", "jobs/orders.py:3"]),
        ("def other(rows: pa.Table): return rows\n", ["no function 'job'", "it has other"]),
        ("def job(rows): return rows\n", ["rows, has no type hint", "pa.Table"]),
        ("def job(rows: list): return rows\n", ["is annotated", "pa.Table"]),
        ("def job(): pass\n", ["takes no parameter"]),
        ("def job(rows: pa.Table, *, vat: float): return rows\n", ["needs vat", "transform.params"]),
    ],
)
def test_a_function_that_cannot_be_called(project: Project, body: str, words: list[str]) -> None:
    project.job(body)
    explained(project.refused(PYTHON), "SpecError", 2, "transform.python", *words)


def test_a_module_that_is_not_there(project: Project) -> None:
    error = project.refused(PYTHON)
    explained(error, "SpecError", 2, "transform.python", "no module jobs", "--project")
    project.job(WHOLE)
    error = project.refused(PYTHON.replace("jobs.orders:", "jobs.other:"))
    explained(error, "SpecError", 2, "no module jobs.other", str(project.root))


def test_a_parameter_that_no_function_takes(project: Project) -> None:
    project.job(WHOLE)
    config = PYTHON.replace('job"}', 'job", params: {vat: 0.19}}')
    explained(project.refused(config), "SpecError", 2, "does not take vat", "nothing beside its rows")


def test_a_job_over_a_type_that_its_engine_cannot_carry(project: Project) -> None:
    wide = pa.array([1] * 4, pa.decimal256(50, 2))
    for file in project.root.glob("raw/*/orders.parquet"):
        project.write(str(file.relative_to(project.root)), pa.table({"id": range(4), "wide": wide}))
    project.job("def job(rows: pl.LazyFrame): return rows\n")
    explained(project.refused(PYTHON), "SpecError", 2, "wide", "decimal256", "pa.Table")


# A partition in scope that gets no rows.


def build(project: Project) -> None:
    assert project.run().exit_code == 0


NO_SECOND = "def job(rows: pa.Table): return rows.filter(pa.compute.not_equal(rows['dt'], pa.scalar('2025-01-02').cast(pa.date32())))\n"


@pytest.fixture
def emptying(project: Project) -> Project:
    """The table is there, and the job now gives no rows for one of its days."""
    build(project)
    project.job("import pyarrow.compute\n" + NO_SECOND)
    return project


def test_a_day_that_would_be_left_empty_refuses_the_publish(emptying: Project) -> None:
    before = emptying.bytes_of_target()
    run = emptying.run(PYTHON)
    assert run.exit_code == 4
    assert run.gate is not None
    assert "dt=2025-01-02" in run.gate.reason
    assert "on_empty" in run.gate.next
    assert emptying.bytes_of_target() == before


@pytest.mark.parametrize(("on_empty", "left"), [("keep", 3), ("remove", 2)])
def test_a_day_without_rows_is_kept_or_removed_as_asked(emptying: Project, on_empty: str, left: int) -> None:
    config = PYTHON.replace("uri: gold,", f"uri: gold, on_empty: {on_empty},")
    run = emptying.run(config)
    assert run.exit_code == 0
    assert run.status()["rows"]["filtered"] == 4
    assert len(emptying.table()) == left
    assert ("dt=2025-01-02" in emptying.table()) == (on_empty == "keep")


def test_no_rows_at_all_leave_the_table_as_it_is(project: Project) -> None:
    build(project)
    before = project.bytes_of_target()
    run = project.run(CONFIG + 'transform: {sql: "select * from input where id < 0"}\n')
    assert run.exit_code == 4
    assert project.bytes_of_target() == before
