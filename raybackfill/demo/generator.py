"""Makes a shop's orders, hour by hour: the same shop gives the same rows, on any machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raybackfill.demo.shop import Hour, Shop

Shares = npt.NDArray[np.float64]

MARKETPLACE = 1001
MARKETPLACE_SHARE = 0.4
"""One customer, who sells on, has this share of all orders."""

CUSTOMERS = 200_000
WIDE_CUSTOMER = 5_000_000_000
WIDE_SHARE = 0.2
TEST_SHARE = 0.01
DISCOUNT_SHARE = 0.3
DISCOUNTS = (5, 10, 15, 20, 25)

STATUSES = (("paid", 0.22), ("shipped", 0.7), ("cancelled", 0.08))
COUNTRIES = (("DE", 0.45), ("FR", 0.2), ("PL", 0.15), ("GB", 0.12), ("US", 0.08))
CURRENCIES = {"DE": "EUR", "FR": "EUR", "PL": "PLN", "GB": "GBP", "US": "USD"}

ORDERS_BY_HOUR = (12, 7, 4, 3, 3, 5, 12, 25, 40, 50, 54, 56, 58, 55, 52, 53, 57, 62, 70, 78, 80, 72, 55, 37)
"""Per thousand orders of a day: quiet nights, busy evenings."""

WEEKEND_FACTOR = 1.25
ORDERS_AN_HOUR_MAX = 1_000_000
HOUR_MICROS = 3_600_000_000

COLUMNS = (
    "order_id", "ordered_at", "customer_id", "country", "currency", "status", "is_test", "items",
    "amount_cents",
)  # fmt: skip
COLUMNS_LATER = (
    "ordered_at", "order_id", "status", "is_test", "customer_id", "country", "items", "amount_cents",
    "discount_percent", "currency",
)  # fmt: skip


def orders(shop: Shop, hour: Hour) -> pa.Table:
    """The order events of one hour, in order of time, in the columns that files had by then."""
    day = hour.start.date()
    number = (day - shop.first_day).days * 24 + hour.start.hour
    draw = _Draw(shop.seed, number)
    rows = _row_count(shop, hour, draw)
    columns = {
        "order_id": pa.array(number * ORDERS_AN_HOUR_MAX + np.arange(rows, dtype=np.int64)),
        "ordered_at": _times(hour, draw.shares(rows)),
        "customer_id": _customers(draw, rows, wide=day >= shop.wide_day),
        **_countries(draw.shares(rows)),
        "status": _chosen(
            draw.shares(rows), [name for name, _ in STATUSES], [share for _, share in STATUSES]
        ),
        "is_test": pa.array(draw.shares(rows) < TEST_SHARE),
        **_amounts(draw, rows),
        "discount_percent": _discounts(draw, rows),
    }
    return pa.table(columns).select(_names(shop, hour))


def _names(shop: Shop, hour: Hour) -> Sequence[str]:
    day = hour.start.date()
    if day >= shop.reorder_day:
        return COLUMNS_LATER
    return (*COLUMNS, "discount_percent") if day >= shop.discount_day else COLUMNS


class _Draw:
    """Uniform numbers from 0 to 1, of one hour. They are made of the generator's raw bits: what numpy
    makes of these may change from release to release, the bits do not."""

    def __init__(self, seed: int, number: int) -> None:
        self._bits = np.random.PCG64([seed, number])

    def shares(self, count: int) -> Shares:
        bits: npt.NDArray[np.uint64] = self._bits.random_raw(count)
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _row_count(shop: Shop, hour: Hour, draw: _Draw) -> int:
    weekend = WEEKEND_FACTOR if hour.start.weekday() >= 5 else 1.0
    chance = 0.9 + 0.2 * float(draw.shares(1)[0])
    rows = int(shop.orders_a_day * ORDERS_BY_HOUR[hour.start.hour] / 1000 * weekend * chance)
    return min(max(rows, 1), ORDERS_AN_HOUR_MAX)


def _times(hour: Hour, shares: Shares) -> pa.Array:
    start = int(hour.start.timestamp()) * 1_000_000
    micros = start + np.sort((shares * HOUR_MICROS).astype(np.int64))
    return pa.array(micros, pa.timestamp("us", "UTC"))


def _customers(draw: _Draw, rows: int, *, wide: bool) -> pa.Array:
    """A few customers order often, most of them seldom, and one makes up a large part of the shop."""
    shares = draw.shares(rows)
    customers = MARKETPLACE + 1 + (shares * shares * shares * CUSTOMERS).astype(np.int64)
    is_new = draw.shares(rows) < WIDE_SHARE
    if wide:
        customers = np.where(is_new, customers + WIDE_CUSTOMER, customers)
    customers = np.where(draw.shares(rows) < MARKETPLACE_SHARE, MARKETPLACE, customers)
    return pa.array(customers, pa.int64()) if wide else pa.array(customers.astype(np.int32), pa.int32())


def _countries(shares: Shares) -> dict[str, pa.Array]:
    names = [name for name, _ in COUNTRIES]
    of_each = [share for _, share in COUNTRIES]
    currencies = [CURRENCIES[name] for name in names]
    return {"country": _chosen(shares, names, of_each), "currency": _chosen(shares, currencies, of_each)}


def _chosen(shares: Shares, names: Sequence[str], of_each: Sequence[float]) -> pa.Array:
    """For each share the name at whose part of the whole it falls."""
    indices = np.searchsorted(np.cumsum(of_each)[:-1], shares, side="right").astype(np.int32)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names)).cast(pa.string())


def _amounts(draw: _Draw, rows: int) -> dict[str, pa.Array]:
    """Gross prices in hundredths of the order's currency: many small ones, few large ones."""
    shares = draw.shares(rows)
    items = 1 + (draw.shares(rows) * 5).astype(np.int32)
    prices = 499 + (shares * shares * shares * 12_000).astype(np.int64)
    return {"items": pa.array(items), "amount_cents": pa.array(prices * items)}


def _discounts(draw: _Draw, rows: int) -> pa.Array:
    """Percent, null for an order without one."""
    sizes = np.array(DISCOUNTS, np.int32)[(draw.shares(rows) * len(DISCOUNTS)).astype(np.int64)]
    return pa.array(sizes, pa.int32(), mask=draw.shares(rows) >= DISCOUNT_SHARE)
