"""Samples that several tests of the config read, and the types of their fixtures."""

from __future__ import annotations

from collections.abc import Callable

import yaml

from raybackfill.spec import BackfillSpec

Read = Callable[..., BackfillSpec]
Refusal = Callable[..., str]

MINIMAL = """\
name: orders
source: {uri: s3://lake/raw/orders}
target: {uri: s3://lake/gold/orders}
"""

FULL = yaml.load(
    r"""
name: full
timezone: Europe/Berlin
source:
  uri: s3://lake/raw/orders
  path: "dt={dt:%Y-%m-%d}/*.csv.gz"
  format: csv
  csv: {delimiter: ";", header: false, null: "NULL", encoding: latin-1}
  schema: {amount: "decimal(18,3)", at: "timestamp(us, UTC)"}
  where: amount > 0
  storage:
    endpoint_url: https://minio.local:9000/
    region: eu-central-1
    profile: backfills
    anonymous: true
    kms_key: alias/lake
    single_writer: true
  timezone: America/New_York
scope:
  start: 2025-01-01
  end: 2025-04-01T06:00
  column: dt
  include: {tenant: [A, "08"], region: eu}
  exclude: {dt: [2025-02-03]}
  margin: 31d
transform:
  python: jobs.orders:revenue
  per: partition
  params: {vat: 0.19, nested: {b: [1, no], a: null}}
  tables:
    customers: {uri: data/customers, path: "*.parquet", format: parquet, schema: {id: int64}}
  version: 1.10
target:
  uri: s3://lake/gold/orders
  format: parquet
  partition_by: {dt: "{ts:%Y-%m-%d}", region: "{region}"}
  mode: append
  allow_duplicates: true
  outside_scope: filter
  on_empty: remove
  schema: {amount: double}
  sort_by: [ts, region]
  file_size: 64MiB
  storage:
    endpoint_url: https://minio.local:9000
    region: eu-central-1
    profile: backfills
    anonymous: "false"
    kms_key: alias/gold
    single_writer: false
  timezone: UTC
state: s3://lake/states
publish: manual
shrink: 12.5%
order: newest_first
limits: {worker_memory: 2GB, concurrency: 8}
retries: {attempts: 6, breaker: 2.5%}
verify:
  read_back: sample
  reconcile:
    - source: {sql: "select a, b from orders", database: "postgresql://me@db/shop"}
      target: {sql: "select a, b from target", database_env: WAREHOUSE_URL}
      keys: [a]
      tolerance: 0.1%
""",
    Loader=yaml.BaseLoader,
)
"""Every key of this version but `transform.sql`, as texts; a test holds it to the table of keys."""
