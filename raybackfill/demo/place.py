"""Decides where a demo works and what it leaves behind: an S3 server and a temporary folder of its own
and nothing afterwards, or one folder that is kept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raybackfill.demo.lake import Lake, lake_in_folder, lake_on_s3
from raybackfill.demo.project import CONFIG, write_project
from raybackfill.demo.server import S3Server
from raybackfill.demo.shop import Shop
from raybackfill.errors import SpecError

LAKE_FOLDER = "lake"

UNWANTED_VARIABLES = ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "RAY_ADDRESS")
"""They would lead to somebody's real storage or cluster, which the demo has no business with."""

LOOPBACK_ONLY = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


@dataclass(frozen=True)
class Place:
    """The lake with the shop's tables, and the config of the backfill. `what` and `config_shown` name
    them for people."""

    lake: Lake
    config: Path
    what: str
    config_shown: str


@contextmanager
def temporary_place(shop: Shop) -> Iterator[Place]:
    """A lake on an S3 server of this process's own. Server, lake and project are gone afterwards."""
    with (
        S3Server() as server,
        _scratch() as scratch,
        environment({**server.environment(), **LOOPBACK_ONLY, "TMPDIR": scratch}),
    ):
        given = server.environment()
        region = given["AWS_REGION"]
        lake = lake_on_s3(
            server.endpoint_url,
            given["AWS_ACCESS_KEY_ID"],
            given["AWS_SECRET_ACCESS_KEY"],
            given["AWS_SESSION_TOKEN"],
            region,
        )
        config = write_project(Path(scratch) / "project", shop, lake.uri, server.endpoint_url, region)
        yield Place(lake, config, f"an S3 server of its own ({server.endpoint_url})", CONFIG)


@contextmanager
def kept_place(shop: Shop, folder: Path) -> Iterator[Place]:
    """A lake in a folder below `folder`, which must be new or empty, since all in it is kept."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(
            "something is there already, and the demo overwrites nothing",
            where=f"--keep {folder}",
            next="name a folder that is empty or not there yet",
        )
    config = write_project(folder, shop, LAKE_FOLDER)
    lake = lake_in_folder(folder.resolve() / LAKE_FOLDER)
    with _scratch() as scratch, environment({"TMPDIR": scratch}):
        yield Place(lake, config, f"files below {folder}", str(config))


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for temporary files, also those of Ray and its workers, which remove none themselves.
    The name is short, because Ray's sockets lie in it and a socket's path has about 100 characters."""
    return tempfile.TemporaryDirectory(prefix="raybackfill-", ignore_cleanup_errors=True)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables, and take the unwanted ones out, until the end. Ray's workers inherit them."""
    before = dict(os.environ)
    os.environ.update(variables)
    for name in UNWANTED_VARIABLES:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
