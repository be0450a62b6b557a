"""Decides which hours of the revenue table are missing or wrong: every order is reckoned anew from the
raw files, in SQL, and held against the table. It knows nothing of raybackfill nor of the story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from raybackfill.demo.lake import ORDERS, REVENUE, File, Lake
from raybackfill.demo.shop import EUROS, VAT

# An order's revenue is rounded to the cent, and by which rule is not the check's business.
COMPARED = """
with expected as (
    select folder, order_id, customer_id, ordered_at, country,
           amount_cents / 100 * euros * (1 - coalesce(discount_percent, 0) / 100) / (1 + $vat) as revenue
    from orders join rates using (currency)
    where status <> 'cancelled' and not is_test
),
held as (
    select folder, order_id, count(*) as copies, min(customer_id) as customer_id,
           min(ordered_at) as ordered_at, min(country) as country, sum(revenue_eur) as revenue
    from revenue group by folder, order_id
)
select coalesce(e.folder, h.folder) as folder,
       count(h.order_id) = 0 as missing,
       count(*) filter (
           e.order_id is null or h.order_id is null or h.copies > 1
           or h.customer_id is distinct from e.customer_id
           or h.ordered_at is distinct from e.ordered_at
           or h.country is distinct from e.country
           or h.revenue is null or abs(h.revenue - e.revenue) > 0.01
       ) as orders_wrong,
       coalesce(sum(h.revenue), 0) - coalesce(sum(e.revenue), 0) as euros_too_much
from expected e full join held h on h.folder = e.folder and h.order_id = e.order_id
group by all order by 1
"""

ORDERS_SCHEMA = pa.schema(
    [
        ("order_id", pa.int64()),
        ("ordered_at", pa.timestamp("us", "UTC")),
        ("customer_id", pa.int64()),
        ("country", pa.string()),
        ("currency", pa.string()),
        ("status", pa.string()),
        ("is_test", pa.bool_()),
        ("amount_cents", pa.int64()),
        ("discount_percent", pa.int32()),
    ]
)
REVENUE_SCHEMA = pa.schema(
    [
        ("order_id", pa.int64()),
        ("ordered_at", pa.timestamp("us", "UTC")),
        ("customer_id", pa.int64()),
        ("country", pa.string()),
        ("revenue_eur", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Findings:
    """`missing` and `wrong` are the hours' folders; `digests` has a SHA-256 for each folder's files."""

    hours: int
    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    orders_missing: int
    orders_wrong: int
    euros_too_much: float
    digests: Mapping[str, tuple[str, ...]]

    @property
    def is_right(self) -> bool:
        return not self.missing and not self.wrong

    def to_json(self) -> dict[str, Any]:
        return {
            "hours": self.hours,
            "hours_missing": len(self.missing),
            "hours_wrong": len(self.wrong),
            "orders_missing": self.orders_missing,
            "orders_wrong": self.orders_wrong,
            "wrong_by_euros": round(self.euros_too_much, 2),
        }


def check(lake: Lake) -> Findings:
    """Read all files of both tables as they are now, a day at a time."""
    orders, revenue = lake.days(ORDERS), lake.days(REVENUE)
    hours: list[dict[str, Any]] = []
    digests: dict[str, tuple[str, ...]] = {}
    with duckdb.connect() as connection:
        rates = pa.table({"currency": list(EUROS), "euros": list(EUROS.values())})
        connection.register("rates", rates)
        for day in sorted(orders.keys() | revenue.keys()):
            files = lake.read(REVENUE, revenue.get(day, []))
            connection.register("orders", _together(lake.read(ORDERS, orders.get(day, [])), ORDERS_SCHEMA))
            connection.register("revenue", _together(files, REVENUE_SCHEMA))
            hours += connection.sql(COMPARED, params={"vat": VAT}).to_arrow_table().to_pylist()
            for file in files:
                digests[file.folder] = (*digests.get(file.folder, ()), file.digest)
    return _findings(hours, digests)


def _together(files: Sequence[File], schema: pa.Schema) -> pa.Table:
    """The rows of all files with their folder; columns that a file lacks are null there."""
    begun = pa.schema([("folder", pa.string()), *schema]).empty_table()
    tables = [file.rows.append_column("folder", pa.repeat(file.folder, file.rows.num_rows)) for file in files]
    return pa.concat_tables([begun, *tables], promote_options="permissive")


def _findings(hours: Sequence[Mapping[str, Any]], digests: Mapping[str, tuple[str, ...]]) -> Findings:
    missing = [hour for hour in hours if hour["missing"]]
    wrong = [hour for hour in hours if hour["orders_wrong"] and not hour["missing"]]
    return Findings(
        hours=len(hours),
        missing=tuple(hour["folder"] for hour in missing),
        wrong=tuple(hour["folder"] for hour in wrong),
        orders_missing=sum(hour["orders_wrong"] for hour in missing),
        orders_wrong=sum(hour["orders_wrong"] for hour in wrong),
        euros_too_much=sum(hour["euros_too_much"] for hour in wrong),
        digests=digests,
    )
