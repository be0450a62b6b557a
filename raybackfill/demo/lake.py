"""Moves the demo's files to and from its lake: a bucket of its S3 server, or a folder.

It goes through pyarrow's file systems and not through raybackfill's stores, so that what the demo
finds in the lake is what any other program finds there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from raybackfill.demo.shop import Hour

BUCKET = "shop"
ORDERS = "raw/orders"
REVENUE = "gold/order_revenue"
THREADS = 8


@dataclass(frozen=True)
class File:
    """One Parquet file of a table: the hour's folder, its rows, and the SHA-256 of its bytes."""

    folder: str
    rows: pa.Table
    digest: str


@dataclass(frozen=True)
class Lake:
    """`root` is the bucket or folder within `files`; `uri` is the same place in a config."""

    files: Any
    root: str
    uri: str

    def place(self, table: str) -> str:
        """The URI of a table (ORDERS, REVENUE)."""
        return f"{self.uri}/{table}"

    def write(self, table: str, hour: Hour, rows: pa.Table) -> int:
        """Write the hour's only file. Gives its size in bytes."""
        path = f"{self.root}/{table}/{hour.key}"
        buffer = pa.BufferOutputStream()
        pq.write_table(rows, buffer, compression="zstd")
        data = buffer.getvalue()
        if self.files.type_name == "local":
            self.files.create_dir(path.rpartition("/")[0])
        with self.files.open_output_stream(path) as stream:
            stream.write(data)
        return int(data.size)

    def days(self, table: str) -> dict[str, list[str]]:
        """The paths of a table's files, below the table, by their day's folder; all in order."""
        top = f"{self.root}/{table}"
        found = self.files.get_file_info(fs.FileSelector(top, recursive=True, allow_not_found=True))
        paths = sorted(each.path[len(top) + 1 :] for each in found if each.is_file)
        return {day: list(of_day) for day, of_day in groupby(paths, lambda path: path.partition("/")[0])}

    def read(self, table: str, paths: Iterable[str]) -> list[File]:
        """These files of a table, in this order."""
        return in_parallel(lambda path: self._read_file(table, path), paths)

    def _read_file(self, table: str, path: str) -> File:
        with self.files.open_input_file(f"{self.root}/{table}/{path}") as stream:
            data = stream.read()
        rows = pq.read_table(pa.BufferReader(data), use_threads=False)
        return File(path.rpartition("/")[0], rows, hashlib.sha256(data).hexdigest())


def in_parallel(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """What `work` gives for each item, in their order: most of the time goes to waiting for the store."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="demo-lake") as pool:
        return list(pool.map(work, items))


def lake_on_s3(endpoint_url: str, key: str, secret: str, token: str, region: str) -> Lake:
    """A lake in a new bucket of the S3 at this endpoint."""
    files = fs.S3FileSystem(
        access_key=key,
        secret_key=secret,
        session_token=token,
        region=region,
        scheme=urlsplit(endpoint_url).scheme,
        endpoint_override=urlsplit(endpoint_url).netloc,
        allow_bucket_creation=True,
        # A small file is then one request, not an upload in parts.
        allow_delayed_open=True,
    )
    files.create_dir(BUCKET)
    return Lake(files, BUCKET, f"s3://{BUCKET}")


def lake_in_folder(folder: Path) -> Lake:
    return Lake(fs.LocalFileSystem(), str(folder), str(folder))
