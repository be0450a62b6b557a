"""The trial of a job on a sample: row by row or not, and which columns it gives."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raybackfill.control.planning.trial import output_schema, refuse_lost_columns, try_row_by_row
from raybackfill.errors import SpecError

SAMPLE = pa.table({"a": [3, 1, 2, 1], "x": [float("nan"), 1.0, None, 2.0]})


@pytest.mark.parametrize(
    "job",
    [
        lambda t: t,
        lambda t: t.filter(pc.greater(t["a"], 1)),
        lambda t: t.set_column(0, "a", pc.multiply(t["a"], 2)),
        lambda t: pa.concat_tables([t.slice(i, 1) for i in range(t.num_rows) for _ in (0, 1)]),
    ],
    ids=["same", "filter", "compute", "explode"],
)
def test_jobs_that_work_row_by_row_pass(job) -> None:  # type: ignore[no-untyped-def]
    assert try_row_by_row(job, SAMPLE, "f").num_rows == job(SAMPLE).num_rows


def counter() -> object:
    calls = []

    def job(table: pa.Table) -> pa.Table:
        calls.append(1)
        return table.set_column(0, "a", pa.array([len(calls)] * table.num_rows))

    return job


@pytest.mark.parametrize(
    "job",
    [
        lambda t: t.group_by("a").aggregate([("x", "sum")]),
        lambda t: t.sort_by("a"),
        lambda t: t.slice(0, 1),
        lambda t: t.append_column("n", pa.array(range(t.num_rows))),
        counter(),
    ],
    ids=["aggregate", "sort", "limit", "number", "state"],
)
def test_jobs_that_look_beyond_a_row_are_refused(job) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SpecError, match="does not work row by row") as caught:
        try_row_by_row(job, SAMPLE, "jobs.x:f")
    assert "per: partition" in caught.value.next


def test_a_sample_of_one_row_or_none_is_not_halved() -> None:
    assert try_row_by_row(lambda t: t, SAMPLE.slice(0, 1), "f").num_rows == 1
    assert try_row_by_row(lambda t: t, SAMPLE.slice(0, 0), "f").num_rows == 0


def test_the_output_schema_is_the_samples_the_configs_and_the_tables() -> None:
    result = pa.schema([("a", pa.string_view()), ("b", pa.null()), ("c", pa.null()), ("d", pa.int64())])
    live = pa.schema([("c", pa.date32()), ("d", pa.int32())])
    found = output_schema(result, {"b": pa.decimal128(5, 2)}, live)
    assert found == pa.schema(
        [("a", pa.string()), ("b", pa.decimal128(5, 2)), ("c", pa.date32()), ("d", pa.int64())]
    )


@pytest.mark.parametrize(
    ("result", "overrides", "said"),
    [
        (pa.schema([("b", pa.null())]), {}, "b holds only nulls"),
        (pa.schema([("b", pa.int64())]), {"z": pa.int64()}, "gives no column z"),
        (pa.schema([("b", pa.int64()), ("b", pa.int64())]), {}, "gives the column b twice"),
    ],
)
def test_an_unclear_schema_is_refused(
    result: pa.Schema, overrides: dict[str, pa.DataType], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        output_schema(result, overrides, None)


def test_rows_that_are_kept_must_keep_their_columns() -> None:
    old = pa.schema([("a", pa.int64()), ("note", pa.string())])
    refuse_lost_columns(old, ["note", "a", "new"], "f")
    with pytest.raises(SpecError, match="no column note for them"):
        refuse_lost_columns(old, ["a"], "f")
