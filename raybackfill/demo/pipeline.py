"""Builds the demo's tables as the shop did: raw orders, and revenue by a live pipeline that went wrong.

It shares nothing with raybackfill: the table is there before anybody thinks of a backfill.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.demo.generator import MARKETPLACE, orders
from raybackfill.demo.lake import ORDERS, REVENUE, Lake, in_parallel
from raybackfill.demo.shop import EUROS, VAT, Hour, Shop


@dataclass(frozen=True, slots=True)
class Built:
    """What lies in the lake: files, rows and bytes of each table, and the largest customer's share."""

    order_files: int
    order_rows: int
    order_bytes: int
    revenue_files: int
    revenue_rows: int
    revenue_bytes: int
    largest_customer_rows: int


def build(shop: Shop, lake: Lake) -> Built:
    """Write every hour of the shop's orders, and what its live pipeline made of them."""
    hours = in_parallel(lambda hour: _build_hour(shop, lake, hour), shop.hours())
    return Built(*(sum(counts) for counts in zip(*hours, strict=True)))


def _build_hour(shop: Shop, lake: Lake, hour: Hour) -> tuple[int, ...]:
    """The counts of one hour, in the order of Built."""
    raw = orders(shop, hour)
    largest = pc.sum(pc.equal(raw["customer_id"], MARKETPLACE)).as_py()
    of_orders = (1, raw.num_rows, lake.write(ORDERS, hour, raw))
    if shop.is_outage(hour):
        return (*of_orders, 0, 0, 0, largest)
    built = revenue(raw, discounts=not shop.ignores_discounts(hour))
    return (*of_orders, 1, built.num_rows, lake.write(REVENUE, hour, built), largest)


def revenue(raw: pa.Table, *, discounts: bool) -> pa.Table:
    """The live pipeline's rule: net of VAT, in euros, without cancelled and test orders; less
    discounts since it was fixed."""
    real = pc.and_(pc.not_equal(raw["status"], "cancelled"), pc.invert(raw["is_test"]))
    kept = raw.filter(real)
    euros = pc.divide(pc.multiply(pc.cast(kept["amount_cents"], pa.float64()), _rates(kept)), 100 * (1 + VAT))
    if discounts and "discount_percent" in kept.column_names:
        percent = pc.cast(pc.fill_null(kept["discount_percent"], 0), pa.float64())
        euros = pc.multiply(euros, pc.subtract(1.0, pc.divide(percent, 100.0)))
    return pa.table(
        {
            "order_id": kept["order_id"],
            "ordered_at": kept["ordered_at"],
            "customer_id": pc.cast(kept["customer_id"], pa.int64()),
            "country": kept["country"],
            "revenue_eur": pc.round(euros, 2),
        }
    )


def _rates(rows: pa.Table) -> pa.ChunkedArray:
    names = pa.array(list(EUROS))
    return pc.take(pa.array(list(EUROS.values())), pc.index_in(rows["currency"], value_set=names))
