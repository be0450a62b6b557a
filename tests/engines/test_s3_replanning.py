"""On S3 an object that changes back has the tag that it had: its unit is worked on again, and counts once."""

from __future__ import annotations

import io
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from raybackfill.api import load, open_run
from raybackfill.spec.values import StorageSpec
from tests.engines.test_s3_run import values, write_project

KEY = "raw/dt=2025-01-03/part-00000.parquet"


def test_an_object_that_changes_and_changes_back(
    tmp_path: Path, s3_storage: StorageSpec, s3_bucket: str
) -> None:
    asked = load(write_project(tmp_path, s3_storage.endpoint_url, s3_bucket))
    client = boto3.client("s3", endpoint_url=s3_storage.endpoint_url, region_name="us-east-1")
    before = client.get_object(Bucket=s3_bucket, Key=KEY)["Body"].read()
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": range(20), "value": [9] * 20}), buffer)
    run = asked.run(engine="inline", publish=False)
    plans = [run.plan.id]
    rows = [run.status()["rows"]["out"]]
    for content in (buffer.getvalue(), before):
        client.put_object(Bucket=s3_bucket, Key=KEY, Body=content)
        run = open_run(run.uri, s3_storage).resume(engine="inline", replan_changed=True, publish=False)
        plans.append(run.plan.id)
        rows.append(run.status()["rows"]["out"])
    assert plans[0] == plans[2] != plans[1]
    assert rows == [250, 220, 250]
    assert run.status()["replans"] == 2
    assert run.publish(engine="inline").exit_code == 0
    found = values(s3_storage, s3_bucket)
    assert found["dt=2025-01-03"] == [31] * 50
    assert found["dt=2025-01-06"] == [6] * 3, "out of scope"
