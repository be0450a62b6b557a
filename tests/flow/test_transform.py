"""Transform: the user's job, its errors in words, its rows in the target's schema."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from raybackfill.errors import SpecError, UnitError
from raybackfill.flow.transform import Job, conform
from raybackfill.frames.arrow import ArrowFrame
from raybackfill.frames.polars import PolarsFrame

ROWS = pa.table({"a": [1, 2, 3], "t": pa.array([1, 2, 3], pa.timestamp("s"))})


def job(function: Any, frame: Any = None) -> Job:
    return Job("jobs.x:f", function, frame or ArrowFrame())


def test_a_job_that_raises_is_named_with_its_error_and_line() -> None:
    def broken(rows: pa.Table) -> pa.Table:
        return rows["no such column"]

    with pytest.raises(UnitError, match=r"the job jobs.x:f raised KeyError.* at .*test_transform.py:\d+"):
        job(broken)(ROWS)


def test_an_error_of_a_lazy_frame_is_the_jobs_too() -> None:
    lazy = job(lambda rows: rows.select("nothing"), PolarsFrame(lazy=True))
    with pytest.raises(UnitError, match="raised ColumnNotFoundError"):
        lazy(ROWS)


def test_a_panic_of_polars_does_not_end_the_worker() -> None:
    class PanicException(BaseException):
        pass

    def panics(rows: pa.Table) -> pa.Table:
        raise PanicException("index out of bounds")

    with pytest.raises(UnitError, match="PanicException: index out of bounds"):
        job(panics)(ROWS)


def test_what_ends_the_process_is_not_the_jobs_error() -> None:
    def stopped(rows: pa.Table) -> pa.Table:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job(stopped)(ROWS)


def test_an_error_of_ours_passes_as_it_is() -> None:
    def refuses(rows: pa.Table) -> pa.Table:
        raise SpecError("no")

    with pytest.raises(SpecError):
        job(refuses)(ROWS)


def test_another_thing_than_rows_is_the_jobs_error() -> None:
    with pytest.raises(UnitError, match="expected a polars DataFrame or LazyFrame, got NoneType"):
        job(lambda rows: None, PolarsFrame(lazy=False))(ROWS)


def test_types_that_the_engine_changed_come_back_and_those_of_the_job_stay() -> None:
    def doubled(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.col("a").cast(pl.Float64), b=pl.lit("x"))

    result = job(doubled, PolarsFrame(lazy=False))(ROWS)
    assert result.schema.field("t").type == pa.timestamp("s")
    assert result.schema.field("a").type == pa.float64()


def test_rows_are_brought_to_the_schema_or_refused() -> None:
    schema = pa.schema([("t", pa.timestamp("s")), ("a", pa.int32())])
    assert conform(ROWS, schema, "f").schema.equals(schema)
    for table, said in (
        (ROWS.drop_columns("t"), "no column t"),
        (ROWS.append_column("b", ROWS["a"]), "column b"),
        (ROWS.set_column(0, "a", pa.array([1, 2, 2**40])), "column a"),
        (ROWS.set_column(0, "a", pa.array(["1", "x", "3"])), "column a"),
    ):
        with pytest.raises(UnitError, match=f"do not fit the target's schema: .*{said}"):
            conform(table, schema, "f")
