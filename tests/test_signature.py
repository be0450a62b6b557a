"""What a job's function asks for: frames by type hints, everything else by name."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from raybackfill.code.signature import Signature, read_signature
from raybackfill.errors import SpecError
from raybackfill.job import Context


def arrow(rows: pa.Table) -> pa.Table: ...
def polars(rows: pl.DataFrame, rates: pl.DataFrame, *, vat: float) -> pl.DataFrame: ...
def lazy(rows: pl.LazyFrame, rates: pl.DataFrame, context: Context, vat: float = 0.0) -> pl.LazyFrame: ...
def pandas(rows: pd.DataFrame, rates, **others: object) -> pd.DataFrame: ...  # type: ignore[no-untyped-def]
def unhinted(rows):  # type: ignore[no-untyped-def]
    ...


def unresolved(rows: "pl.LazyFrame", other: "OnlyForCheckers" = None):  # type: ignore[name-defined, no-untyped-def] # noqa: F821, UP037
    ...


def test_frames_tables_and_context_are_found() -> None:
    assert read_signature(arrow, "f", [], []) == Signature("arrow", {}, False)
    assert read_signature(polars, "f", ["vat"], ["rates"]) == Signature("polars", {"rates": "polars"}, False)
    assert read_signature(lazy, "f", [], ["rates"]) == Signature("polars_lazy", {"rates": "polars"}, True)
    assert read_signature(pandas, "f", ["vat"], ["rates"]) == Signature("pandas", {"rates": "pandas"}, False)
    assert read_signature(unresolved, "f", [], []).frame == "polars_lazy"


@pytest.mark.parametrize(
    ("function", "params", "tables", "said"),
    [
        (lambda: None, [], [], "takes no parameter"),
        (unhinted, [], [], "the first parameter, rows, has no type hint; annotate it with pa.Table"),
        (polars, [], ["rates"], "needs vat; add transform.params"),
        (arrow, ["vat"], [], "does not take vat; it takes nothing beside its rows"),
        (polars, ["vat"], ["rates", "more"], "does not take more; it takes rates, vat"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused(function, params, tables, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SpecError, match=said):
        read_signature(function, "jobs.x:f", params, tables)
