"""The demo's check finds what it claims to find: each kind of damage, and none in a right table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raybackfill.demo.check import check
from raybackfill.demo.generator import orders
from raybackfill.demo.lake import REVENUE, Lake, lake_in_folder
from raybackfill.demo.pipeline import build, revenue
from raybackfill.demo.shop import DAYS_MIN, Hour, Shop

SHOP = Shop(days=DAYS_MIN, orders_a_day=2_000)
HOURS = list(SHOP.hours())
DAMAGED = HOURS[84]


def right(hour: Hour) -> pa.Table:
    return revenue(orders(SHOP, hour), discounts=True)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake whose revenue is right everywhere."""
    lake = lake_in_folder(tmp_path)
    build(SHOP, lake)
    for hour in filter(SHOP.is_in_window, HOURS):
        lake.write(REVENUE, hour, right(hour))
    return lake


def replaced(table: pa.Table, column: str, values: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), column, values)


DAMAGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "an order is lost": lambda table: table.slice(1),
    "an order is there twice": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
    "an order is nobody's": lambda table: replaced(
        table, "order_id", pc.if_else(pc.equal(table["order_id"], table["order_id"][0]), 7, table["order_id"])
    ),
    "revenue is off by two cents": lambda table: replaced(
        table, "revenue_eur", pc.add(table["revenue_eur"], 0.02)
    ),
    "revenue is null": lambda table: replaced(table, "revenue_eur", pa.nulls(table.num_rows, pa.float64())),
    "customers are cut to 32 bits": lambda table: replaced(
        table, "customer_id", pc.bit_wise_and(table["customer_id"], 2**31 - 1)
    ),
    "rows are of another hour": lambda table: right(HOURS[85]),
}


def test_a_right_table_passes(lake: Lake) -> None:
    found = check(lake)
    assert found.is_right
    assert found.hours == len(HOURS) == len(found.digests)
    assert (found.orders_missing, found.orders_wrong, found.euros_too_much) == (0, 0, 0)


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_damage_is_found(lake: Lake, damage: str) -> None:
    before = check(lake)
    lake.write(REVENUE, DAMAGED, DAMAGES[damage](right(DAMAGED)))
    found = check(lake)
    assert found.wrong == (DAMAGED.folder,)
    assert found.missing == ()
    assert found.orders_wrong > 0
    assert {f for f, digest in found.digests.items() if digest != before.digests[f]} == {DAMAGED.folder}


def test_a_lost_file_is_a_missing_hour(lake: Lake) -> None:
    Path(lake.place(REVENUE), DAMAGED.key).unlink()
    found = check(lake)
    assert found.missing == (DAMAGED.folder,)
    assert found.wrong == ()
    assert found.orders_missing == right(DAMAGED).num_rows


def test_a_table_that_is_not_there_is_missing_altogether(tmp_path: Path) -> None:
    shop = Shop(days=DAYS_MIN, orders_a_day=500)
    lake = lake_in_folder(tmp_path)
    build(shop, lake)
    Path(lake.place(REVENUE)).rename(tmp_path / "elsewhere")
    assert len(check(lake).missing) == 24 * DAYS_MIN


def test_the_live_pipeline_went_wrong_as_told(tmp_path: Path) -> None:
    lake = lake_in_folder(tmp_path)
    built = build(SHOP, lake)
    found = check(lake)
    assert built.order_files == len(HOURS)
    assert built.revenue_files == len(HOURS) - 12
    assert found.missing == tuple(hour.folder for hour in HOURS if SHOP.is_outage(hour))
    assert found.wrong == tuple(hour.folder for hour in HOURS if old_rule_matters(hour))
    assert found.euros_too_much > 0


def old_rule_matters(hour: Hour) -> bool:
    """Whether an order that counts had a discount that the pipeline took no notice of."""
    if not SHOP.ignores_discounts(hour) or SHOP.is_outage(hour):
        return False
    raw = orders(SHOP, hour)
    real = raw.filter(pc.and_(pc.not_equal(raw["status"], "cancelled"), pc.invert(raw["is_test"])))
    return real["discount_percent"].null_count < real.num_rows
