"""The work, said in each engine's words: rows that are no views, with their revenue in dollars."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

RATES = {"USD": 1.0, "EUR": 1.08, "GBP": 1.27, "JPY": 0.0067, "INR": 0.012, "BRL": 0.2}

_CASES = " ".join(f"when '{currency}' then {rate}" for currency, rate in RATES.items())
EXACT = f"amount * (case currency {_CASES} end) * (case when kind = 'refund' then -1 else 1 end)"
"""The revenue before it is rounded, as a SQL expression in doubles."""

QUERY = f"select *, round({EXACT}, 4)::double as revenue_usd from input where kind <> 'view'"

_CURRENCIES, _RATES = pa.array(list(RATES)), pa.array(list(RATES.values()))


def with_polars(events: pl.LazyFrame) -> pl.LazyFrame:
    rate = pl.col("currency").replace_strict(RATES, return_dtype=pl.Float64)
    sign = pl.when(pl.col("kind") == "refund").then(-1).otherwise(1)
    revenue = (pl.col("amount") * rate * sign).round(4)
    return events.filter(pl.col("kind") != "view").with_columns(revenue_usd=revenue)


def with_arrow(events: pa.Table) -> pa.Table:
    events = events.filter(pc.not_equal(events["kind"], "view"))
    rate = pc.take(_RATES, pc.index_in(events["currency"], value_set=_CURRENCIES))
    sign = pc.if_else(pc.equal(events["kind"], "refund"), -1.0, 1.0)
    revenue = pc.round(pc.multiply(pc.multiply(events["amount"], rate), sign), 4)
    return events.append_column("revenue_usd", revenue)
