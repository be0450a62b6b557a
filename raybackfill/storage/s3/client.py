"""Sends S3 requests: one boto3 client for all threads, every request counted, errors translated."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import get_environ_proxies

from raybackfill.errors import SpecError, TransientError
from raybackfill.spec.values import StorageSpec
from raybackfill.storage.meter import Meter
from raybackfill.storage.s3.errors import FOREIGN_ERRORS, TRY_AGAIN, refusal, translated

ATTEMPTS = 6
"""Tries of one request in all. botocore waits between them: for a store that throttles, half a minute
in all at most."""

CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
POOL_CONNECTIONS = 32
PART_THREADS = 8

KINDS = {
    "GetObject": "get",
    "HeadObject": "head",
    "HeadBucket": "head",
    "PutObject": "put",
    "UploadPart": "put",
    "CreateMultipartUpload": "put",
    "CompleteMultipartUpload": "put",
    "ListObjectsV2": "list",
    "ListMultipartUploads": "list",
    "CopyObject": "copy",
    "UploadPartCopy": "copy",
    "DeleteObject": "delete",
    "AbortMultipartUpload": "delete",
}

NOTHING: frozenset[str] = frozenset()


def split(key: str) -> tuple[str, str]:
    """("bucket", "path") of "bucket/path"."""
    bucket, _, name = key.partition("/")
    return bucket, name


class S3Client:
    """`call` sends an operation to a key. Credentials come from the standard AWS chain."""

    def __init__(self, spec: StorageSpec, meter: Meter) -> None:
        self.meter = meter
        self.kms_key = spec.kms_key
        self._endpoint_url = spec.endpoint_url
        self._client = _connect(spec)
        self._client.meta.events.register("before-send.s3", self._count)
        self._lock = Lock()
        self._reached = spec.endpoint_url is None
        self._parts: ThreadPoolExecutor | None = None

    def call(self, operation: str, key: str, *, expected: frozenset[str] = NOTHING, **parameters: Any) -> Any:
        """The operation's reply as boto3 gives it, or a Refusal if its code is one of `expected`;
        anything else is raised as one of ours."""
        bucket, name = split(key)
        return self._send(operation, key, expected, {"Bucket": bucket, "Key": name, **parameters})

    def list_page(self, prefix: str, **parameters: str) -> Any:
        """The reply of one ListObjectsV2."""
        bucket, start = split(prefix)
        return self._send("ListObjectsV2", prefix, NOTHING, {"Bucket": bucket, "Prefix": start, **parameters})

    def list_uploads(self, prefix: str, **parameters: str) -> Any:
        """The reply of one ListMultipartUploads."""
        bucket, start = split(prefix)
        asked = {"Bucket": bucket, "Prefix": start, **parameters}
        return self._send("ListMultipartUploads", prefix, NOTHING, asked)

    def _send(self, operation: str, where: str, expected: frozenset[str], parameters: dict[str, Any]) -> Any:
        self._reach()
        try:
            return getattr(self._client, xform_name(operation))(**parameters)
        except ClientError as error:
            answer = refusal(error)
            if answer.code in expected:
                return answer
            raise translated(error, f"s3://{where}", operation) from error
        except FOREIGN_ERRORS as error:
            raise translated(error, f"s3://{where}", operation) from error

    def takes(self, operation: str, parameter: str) -> bool:
        """Whether the installed boto3 knows this parameter."""
        return parameter in self._client.meta.service_model.operation_model(operation).input_shape.members

    def encryption(self) -> dict[str, Any]:
        """The parameters that every request which makes an object carries."""
        if self.kms_key is None:
            return {}
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}

    def part_threads(self) -> ThreadPoolExecutor:
        """The threads that parts of large objects are sent from, shared by all uploads and copies."""
        with self._lock:
            if self._parts is None:
                self._parts = ThreadPoolExecutor(PART_THREADS, thread_name_prefix="s3-part")
            return self._parts

    def _count(self, request: Any, event_name: str, **_: Any) -> None:
        """botocore calls this before each request it sends, retries included."""
        operation = event_name.rsplit(".", 1)[-1]
        carries_data = operation in ("PutObject", "UploadPart")
        sent = int(request.headers.get("Content-Length") or 0) if carries_data else 0
        # What else boto3 sends of its own accord (CreateSession, for S3 Express) reads something small.
        self.meter.count(KINDS.get(operation, "get"), bytes_written=sent)

    def _reach(self) -> None:
        """Before the first request, see that something listens at a custom endpoint: a mistyped one
        is then named at once, not after half a minute of retries. Behind a proxy nothing is tried."""
        if self._reached or self._endpoint_url is None:
            return
        if not get_environ_proxies(self._endpoint_url):
            _knock(self._endpoint_url)
        self._reached = True


def _knock(url: str) -> None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise TransientError(
            f"nothing answers there ({error})", where=url, next=f"check storage.endpoint_url, or {TRY_AGAIN}"
        ) from error


def _connect(spec: StorageSpec) -> Any:
    where = spec.endpoint_url or "s3"
    try:
        session = boto3.session.Session(profile_name=spec.profile, region_name=spec.region)
        custom = spec.endpoint_url is not None
        region = session.region_name or ("us-east-1" if custom else None)
        return session.client(
            "s3", endpoint_url=spec.endpoint_url, region_name=region, config=_config(spec, path_style=custom)
        )
    except (BotoCoreError, ValueError) as error:
        if isinstance(error, BotoCoreError):
            raise translated(error, where, "S3") from error
        raise SpecError(str(error), where=where, next="correct storage.endpoint_url") from error


def _config(spec: StorageSpec, *, path_style: bool) -> Config:
    """Checksums only where S3 demands them: boto3's newer default adds headers that many compatible
    stores refuse. What is sent is still covered by the signature's SHA-256, what is read by TLS and
    its length. Buckets as host names are not known to most compatible stores, hence `path_style`."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=POOL_CONNECTIONS,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        tcp_keepalive=True,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"} if path_style else None,
        signature_version=botocore.UNSIGNED if spec.anonymous else None,
    )
