"""A whole run on S3 and real Ray: the job's code reaches the workers, and every request is counted."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill import api, worker
from raybackfill.api import load
from raybackfill.demo.server import S3Server
from raybackfill.runs import finding
from raybackfill.spec.values import StorageSpec
from raybackfill.storage.meter import KINDS, Meter

JOB = """
import pyarrow as pa
import pyarrow.compute as pc
from lib.rates import RATE

def job(rows: pa.Table, *, add: int) -> pa.Table:
    return rows.set_column(1, "value", pc.add(pc.multiply(rows["value"], RATE), add))
"""
CONFIG = """
name: orders
source: {{uri: "s3://{bucket}/raw", path: "dt={{dt:%Y-%m-%d}}/*", storage: {{endpoint_url: "{url}", region: us-east-1}}}}
transform: {{python: "jobs.rates_job:job", params: {{add: 1}}}}
target: {{uri: "s3://{bucket}/gold/orders", partition_by: [dt], storage: {{endpoint_url: "{url}", region: us-east-1}}}}
scope: {{start: 2025-01-01, end: 2025-01-06}}
"""


def write_project(folder: Path, url: str | None, bucket: str) -> Path:
    """A user's project and its data on S3; the config's path."""
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    for day in range(1, 8):
        for place, rows in (("raw", 50), ("gold/orders", 3)):
            buffer = io.BytesIO()
            pq.write_table(pa.table({"id": range(rows), "value": [day] * rows}), buffer)
            key = f"{place}/dt=2025-01-{day:02d}/part-00000.parquet"
            client.put_object(Bucket=bucket, Key=key, Body=buffer.getvalue())
    (folder / "pyproject.toml").write_text("")
    for name, text in {"jobs/rates_job.py": JOB, "lib/rates.py": "RATE = 10\n"}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    config = folder / "orders.yaml"
    config.write_text(CONFIG.format(bucket=bucket, url=url))
    return config


def values(storage: StorageSpec, bucket: str) -> dict[str, list[int]]:
    client = boto3.client("s3", endpoint_url=storage.endpoint_url, region_name="us-east-1")
    found = {}
    for item in client.list_objects_v2(Bucket=bucket, Prefix="gold/orders/")["Contents"]:
        body = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        found[item["Key"].split("/")[2]] = pq.read_table(pa.BufferReader(body))["value"].to_pylist()
    return found


@pytest.mark.ray
def test_a_run_on_ray_replaces_what_is_in_scope(
    tmp_path: Path, s3_storage: StorageSpec, s3_bucket: str, ray_session: None
) -> None:
    run = load(write_project(tmp_path, s3_storage.endpoint_url, s3_bucket)).run(engine="ray")
    assert run.exit_code == 0
    expected = {f"dt=2025-01-{day:02d}": [day * 10 + 1] * 50 for day in range(1, 6)}
    expected |= {f"dt=2025-01-{day:02d}": [day] * 3 for day in (6, 7)}
    assert values(s3_storage, s3_bucket) == expected
    status = run.status()
    assert status["rows"]["out"] == 250
    # Five files are kept as they were and five replaced, by the driver, after one copy to try the store;
    # each file and receipt is a put.
    assert status["requests"]["copy"] == 11
    assert status["requests"]["put"] > 10


def test_every_request_is_one_that_we_counted(
    tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server of its own saw is what our meters counted, over planning, work and publish."""
    meters: list[Meter] = []

    def counted() -> Meter:
        meters.append(Meter())
        return meters[-1]

    for module in (api, finding, worker):
        monkeypatch.setattr(module, "Meter", counted)
    worker._benches.clear()
    with S3Server() as server:
        boto3.client("s3", endpoint_url=server.endpoint_url, region_name="us-east-1").create_bucket(
            Bucket="lake"
        )
        config = write_project(tmp_path, server.endpoint_url, "lake")
        before = Counter(server.requests())
        assert load(config).run(engine="inline").exit_code == 0
        seen = Counter(server.requests()) - before
    counted_by_us: Counter[str] = Counter()
    for meter in meters:
        counted_by_us.update({kind: meter.snapshot()[kind] for kind in KINDS})
    assert +counted_by_us == seen
    assert seen["put"] > 10
    assert seen["copy"] > 5
