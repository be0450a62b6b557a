"""Counts what a store was really asked for: requests by kind, and bytes either way."""

from __future__ import annotations

from threading import Lock

KINDS = ("get", "head", "put", "list", "copy", "delete")
"""What a request is counted as. On S3, by what the store bills them as:

| kind | S3 operations |
|---|---|
| get | GetObject, and whatever else boto3 sends of its own accord |
| head | HeadObject (and HeadBucket, which boto3 sends to find a bucket's region) |
| put | PutObject, UploadPart, CreateMultipartUpload, CompleteMultipartUpload |
| list | ListObjectsV2, ListMultipartUploads |
| copy | CopyObject, UploadPartCopy |
| delete | DeleteObject, AbortMultipartUpload |

On a local disk and in memory each verb of the store is one request.
"""


class Meter:
    """Thread-safe counts. One meter may be given to several stores.

    `bytes_read` are bytes that arrived, `bytes_written` bytes that were sent, each time they were.
    A local file opened with `whole` counts as its size; one opened for random access counts
    nothing, because nobody sees which pages of a memory map are touched.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = dict.fromkeys((*KINDS, "bytes_read", "bytes_written"), 0)

    def count(self, kind: str, *, bytes_read: int = 0, bytes_written: int = 0) -> None:
        """One request of `kind` (one of KINDS; anything else is a KeyError) and the bytes it moved."""
        with self._lock:
            self._counts[kind] += 1
            self._counts["bytes_read"] += bytes_read
            self._counts["bytes_written"] += bytes_written

    def count_read(self, size_bytes: int) -> None:
        """Bytes that arrived for a request counted before."""
        with self._lock:
            self._counts["bytes_read"] += size_bytes

    def snapshot(self) -> dict[str, int]:
        """The counts so far: each of KINDS, `bytes_read` and `bytes_written`, always all of them."""
        with self._lock:
            return dict(self._counts)
