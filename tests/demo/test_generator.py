"""The demo's shop: the same seed gives the same orders, with the changes and the skew of its story."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raybackfill.demo.generator import MARKETPLACE, WIDE_CUSTOMER, orders
from raybackfill.demo.lake import ORDERS, REVENUE, lake_in_folder
from raybackfill.demo.pipeline import build
from raybackfill.demo.shop import DAYS_MIN, EUROS, Hour, Shop

SHOP = Shop(orders_a_day=20_000)
HOURS = list(SHOP.hours())


def of_day(day: int) -> list[Hour]:
    return HOURS[24 * day : 24 * (day + 1)]


def day_of_orders(day: int) -> pa.Table:
    return pa.concat_tables([orders(SHOP, hour) for hour in of_day(day)])


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(tmp_path: Path) -> None:
    written = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        lake = lake_in_folder(tmp_path / name)
        build(Shop(days=DAYS_MIN, orders_a_day=500, seed=seed), lake)
        written[name] = [
            (table, file.folder, file.digest)
            for table in (ORDERS, REVENUE)
            for paths in lake.days(table).values()
            for file in lake.read(table, paths)
        ]
    assert written["one"] == written["again"]
    assert not set(written["one"]) & set(written["other"])


def test_an_hour_is_the_same_on_every_machine() -> None:
    """Written down once: a release of numpy that drew other numbers would show here."""
    table = orders(SHOP, HOURS[24 * 12 + 19])
    assert table.num_rows == 1852
    assert pc.sum(table["amount_cents"]).as_py() == 18_694_483
    assert pc.sum(table["customer_id"]).as_py() == 1_185_056_891_268
    assert table["ordered_at"][0].value == 1_742_065_200_398_271


def test_the_columns_change_with_the_days() -> None:
    seen = {hour.start.date(): orders(SHOP, hour).schema for hour in HOURS[::24]}
    for day, schema in seen.items():
        assert ("discount_percent" in schema.names) == (day >= SHOP.discount_day)
        wide = pa.int64() if day >= SHOP.wide_day else pa.int32()
        assert schema.field("customer_id").type == wide
        assert (schema.names[0] == "ordered_at") == (day >= SHOP.reorder_day)
    assert SHOP.first_day < SHOP.discount_day < SHOP.wide_day < SHOP.reorder_day < SHOP.fixed_day
    assert (SHOP.discount_day - SHOP.first_day).days == 7


@pytest.mark.parametrize("days", [DAYS_MIN, 7, 8, 9, 21, 60])
def test_the_story_has_room_at_any_length(days: int) -> None:
    shop = Shop(days=days)
    assert shop.first_day < shop.window_start < shop.discount_day <= shop.wide_day <= shop.reorder_day
    assert shop.reorder_day < shop.fixed_day <= shop.last_day
    assert sum(map(shop.is_outage, shop.hours())) == 12
    broken = [hour for hour in shop.hours() if shop.is_outage(hour) or shop.ignores_discounts(hour)]
    assert broken and all(map(shop.is_in_window, broken))


def test_one_customer_is_huge_and_the_others_are_many() -> None:
    customers = Counter(day_of_orders(3)["customer_id"].to_pylist())
    total = customers.total()
    assert 0.38 < customers.pop(MARKETPLACE) / total < 0.42
    assert customers.most_common(1)[0][1] < total * 0.05
    assert len(customers) > 3000


def test_new_customers_need_64_bits() -> None:
    day = (SHOP.wide_day - SHOP.first_day).days
    assert pc.max(day_of_orders(day - 1)["customer_id"]).as_py() < 2**31
    share = pc.mean(pc.greater(day_of_orders(day)["customer_id"], WIDE_CUSTOMER)).as_py()
    assert 0.05 < share < 0.2


def test_evenings_are_busy_and_nights_are_not() -> None:
    rows = [orders(SHOP, hour).num_rows for hour in of_day(2)]
    assert rows[20] > 10 * rows[3]
    assert 0.9 * 20_000 < sum(rows) < 1.1 * 20_000


def test_orders_lie_in_their_hour_once_and_in_known_currencies() -> None:
    tables = {hour: orders(SHOP, hour) for hour in of_day(10)}
    for hour, table in tables.items():
        times = table["ordered_at"].to_pylist()
        assert times == sorted(times)
        assert hour.start <= times[0] and times[-1] < hour.start + timedelta(hours=1)
    together = pa.concat_tables(tables.values())
    assert pc.count_distinct(together["order_id"]).as_py() == together.num_rows
    assert set(together["currency"].unique().to_pylist()) == set(EUROS)
    assert set(together["status"].unique().to_pylist()) == {"paid", "shipped", "cancelled"}
    assert 0 < pc.sum(together["is_test"]).as_py() < 0.03 * together.num_rows
    assert 0.6 < together["discount_percent"].null_count / together.num_rows < 0.8
