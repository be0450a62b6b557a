"""What tests of all folders share: an S3 server, a bucket, the real inputs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from raybackfill.demo.server import S3Server
from raybackfill.spec.values import StorageSpec

REPOSITORY = Path(__file__).parents[1]
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark a test by what it takes, so that `-m "not s3"` needs no marks by hand."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "s3_server" in names:
            item.add_marker("s3")
        if "ray_session" in names:
            item.add_marker("ray")
        if "data_root" in names:
            item.add_marker("data")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """moto's S3 on a free loopback port; the environment holds credentials for it meanwhile."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    with S3Server() as server, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        for name, value in server.environment().items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def s3_storage(s3_server: S3Server) -> StorageSpec:
    """The `storage` of a spec that leads to `s3_server`."""
    return StorageSpec(endpoint_url=s3_server.endpoint_url, region="us-east-1")


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """The name of a new, empty bucket."""
    bucket = f"bucket-{next(_numbers)}"
    client = boto3.client("s3", endpoint_url=s3_server.endpoint_url, region_name="us-east-1")
    client.create_bucket(Bucket=bucket)
    return bucket


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real inputs (RAYBACKFILL_DATA, or ../shared/data)."""
    root = Path(os.environ.get("RAYBACKFILL_DATA") or REPOSITORY.parent / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"no real inputs at {root}; set RAYBACKFILL_DATA")
    return root


@pytest.fixture(scope="session")
def ray_session(s3_server: S3Server) -> Iterator[None]:
    """One local Ray for all tests that need it: starting it takes seconds. It begins after the S3
    server, because workers inherit the credentials that lie in the environment then."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    with pytest.MonkeyPatch.context() as patch:
        # Workers import what they are given from where Ray was started, which a test may have left.
        patch.chdir(REPOSITORY)
        ray.init(address="local", num_cpus=2, **options)
    yield
    ray.shutdown()
