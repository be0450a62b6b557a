"""Writes the demo's project as a user would: a pyproject.toml, a job, and the config of a backfill."""

from __future__ import annotations

from pathlib import Path

from raybackfill.demo.lake import ORDERS, REVENUE
from raybackfill.demo.shop import EUROS, VAT, Shop

CONFIG = "configs/order_revenue.yaml"
JOB = "jobs/orders.py"

PYPROJECT_TEXT = """\
[project]
name = "shop-backfills"
version = "0.1.0"
dependencies = ["raybackfill[polars]"]
"""

JOB_TEXT = '''\
"""Revenue of the shop's orders, as the books have it."""

import polars as pl


def revenue(orders: pl.LazyFrame, *, vat: float, euros: dict[str, float]) -> pl.LazyFrame:
    """Rule 2: net of discount and VAT, in euros; without cancelled and test orders."""
    amount = pl.col("amount_cents") / 100 * pl.col("currency").replace_strict(euros, return_dtype=pl.Float64)
    discount = pl.col("discount_percent").fill_null(0) / 100
    return orders.filter(pl.col("status") != "cancelled", ~pl.col("is_test")).select(
        "order_id",
        "ordered_at",
        "customer_id",
        "country",
        (amount * (1 - discount) / (1 + vat)).round(2).alias("revenue_eur"),
        "dt",
        "hour",
    )
'''

CONFIG_TEXT = """\
# Revenue of each order, for the days on which the live pipeline was down or took no notice of discounts.
name: order_revenue

source:
  uri: {orders}
  path: "dt={{dt:%Y-%m-%d}}/hour={{hour}}/*.parquet"
{storage}
scope:
  start: {start}
  end: {end}               # not included: the day of the pipeline's fix

transform:
  python: jobs.orders:revenue
  version: "2"
  params:
    vat: {vat}
    euros: {{{euros}}}

target:
  uri: {revenue}
  partition_by: [dt, hour]
{storage}
limits:
  worker_memory: 220MB          # small units, so that there is something to watch
"""

STORAGE_TEXT = """\
  storage: {{endpoint_url: "{endpoint_url}", region: {region}}}
"""


def write_project(folder: Path, shop: Shop, lake_uri: str, endpoint_url: str = "", region: str = "") -> Path:
    """Write the project into `folder`, and give the path of its config.

    `lake_uri` is a bucket's URI, or a folder's path from the project's root.
    """
    storage = STORAGE_TEXT.format(endpoint_url=endpoint_url, region=region) if endpoint_url else ""
    config = CONFIG_TEXT.format(
        orders=f"{lake_uri}/{ORDERS}",
        revenue=f"{lake_uri}/{REVENUE}",
        storage=storage,
        start=shop.window_start,
        end=shop.fixed_day,
        vat=VAT,
        euros=", ".join(f"{currency}: {rate}" for currency, rate in EUROS.items()),
    )
    for name, text in (("pyproject.toml", PYPROJECT_TEXT), (JOB, JOB_TEXT), (CONFIG, config)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / CONFIG
