"""Writes and copies large S3 objects in parts, seen by nobody until the last step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pyarrow as pa

from raybackfill.errors import RaybackfillError, TransientError
from raybackfill.storage import ObjectInfo, allows
from raybackfill.storage.reading import changed
from raybackfill.storage.s3.client import S3Client
from raybackfill.storage.s3.errors import CONFLICT, UNMET, Refusal

STAMP = "raybackfill-stamp"
"""The name of the object's metadata that holds its stamp."""

PART_BYTES = 16 * 1024 * 1024
PARTS_IN_FLIGHT = 3
"""With the part being filled, an upload holds 64 MiB at most (of an object below 16 GB)."""

PARTS_BEFORE_GROWTH = 1000
"""An object has 10,000 parts at most: parts grow by 16 MiB after each thousand, so that 880 GiB fit.
The first thousand are equal because some compatible stores want that."""

COPY_PART_BYTES = 512 * 1024 * 1024
PARTS_MAX = 10_000

GONE = frozenset({"NoSuchUpload"})


class Parts:
    """One multipart upload: parts sent from threads, then completed or aborted."""

    def __init__(self, client: S3Client, key: str, metadata: dict[str, str], **parameters: Any) -> None:
        self._client = client
        self._key = key
        reply = client.call(
            "CreateMultipartUpload", key, Metadata=metadata, **client.encryption(), **parameters
        )
        self._id = reply["UploadId"]
        self._pending: deque[Future[str]] = deque()
        self._tags: list[str] = []

    @property
    def count(self) -> int:
        return len(self._tags) + len(self._pending)

    def send(self, operation: str, tag_of: Callable[[Any], str], **parameters: Any) -> None:
        """Send the next part, waiting for the oldest one while too many are on the way. `tag_of`
        takes the part's tag from the reply, or raises what it means that there is none."""
        while len(self._pending) >= PARTS_IN_FLIGHT:
            self._tags.append(self._pending.popleft().result())
        number = self.count + 1
        threads = self._client.part_threads()
        self._pending.append(threads.submit(self._send, operation, number, tag_of, parameters))

    def _send(
        self, operation: str, number: int, tag_of: Callable[[Any], str], parameters: dict[str, Any]
    ) -> str:
        reply = self._client.call(
            operation, self._key, expected=UNMET | GONE, UploadId=self._id, PartNumber=number, **parameters
        )
        return tag_of(reply)

    def complete(self, expected: frozenset[str], **conditions: str) -> Any:
        """The reply of CompleteMultipartUpload, or a Refusal with one of the `expected` codes."""
        while self._pending:
            self._tags.append(self._pending.popleft().result())
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(self._tags, start=1)]
        return self._client.call(
            "CompleteMultipartUpload",
            self._key,
            expected=expected,
            UploadId=self._id,
            MultipartUpload={"Parts": parts},
            **conditions,
        )

    def abort(self) -> None:
        """Throw the parts away. Parts on the way are awaited first: one that arrives after the abort
        would stay. A store that does not answer keeps them, until `clean` or its own rule takes
        them; the error that led here is the one to report."""
        for future in self._pending:
            future.cancel()
        for future in self._pending:
            if not future.cancelled():
                future.exception()
        self._pending.clear()
        with suppress(RaybackfillError):
            self._client.call("AbortMultipartUpload", self._key, expected=GONE, UploadId=self._id)


class S3Upload:
    """A new object: one PUT if it stays below a part, else parts sent while it is being written."""

    def __init__(
        self,
        client: S3Client,
        key: str,
        stamp: str,
        head: Callable[[str], ObjectInfo | None],
        conditions: Callable[[bool, str | None], dict[str, str]],
    ) -> None:
        self._client = client
        self._key = key
        self._stamp = stamp
        self._head = head
        self._conditions = conditions
        self._size = 0
        self._buffer = bytearray()
        self._parts: Parts | None = None

    def write(self, data: bytes | memoryview | pa.Buffer) -> None:
        rest = memoryview(data).cast("B")
        self._size += len(rest)
        while len(rest):
            room = self._part_bytes() - len(self._buffer)
            self._buffer += rest[:room]
            rest = rest[room:]
            if len(self._buffer) == self._part_bytes():
                self._send_part()

    def commit(self, *, create: bool = False, replaces: str | None = None) -> ObjectInfo | None:
        """As promised; as by a copy, the conditions are looked at first and sent all the same."""
        if (create or replaces is not None) and not allows(
            self._head(self._key), create=create, replaces=replaces
        ):
            self.abort()
            return None
        conditions = self._conditions(create, replaces)
        if self._parts is None:
            tag = self._put(conditions)
        else:
            if self._buffer:
                self._send_part()
            tag = self._complete(self._parts, conditions)
        if tag is None:
            self.abort()
            return None
        self._parts = None
        return ObjectInfo(self._key, self._size, tag, self._stamp)

    def abort(self) -> None:
        self._buffer = bytearray()
        if self._parts is not None:
            self._parts.abort()
            self._parts = None

    def _part_bytes(self) -> int:
        return part_bytes(0 if self._parts is None else self._parts.count)

    def _send_part(self) -> None:
        if self._parts is None:
            self._parts = Parts(self._client, self._key, stamped(self._stamp))
        body, self._buffer = self._buffer, bytearray()
        self._parts.send("UploadPart", self._part_tag, Body=body)

    def _part_tag(self, reply: Any) -> str:
        if isinstance(reply, Refusal):
            raise self._aborted()
        return str(reply["ETag"])

    def _put(self, conditions: dict[str, str]) -> str | None:
        """The tag, or None where the conditions did not hold."""
        reply = self._client.call(
            "PutObject",
            self._key,
            expected=UNMET if conditions else frozenset(),
            Body=self._buffer,
            Metadata=stamped(self._stamp),
            **conditions,
            **self._client.encryption(),
        )
        if not isinstance(reply, Refusal):
            return str(reply["ETag"]).strip('"')
        return self._own() if reply.retried else None

    def _complete(self, parts: Parts, conditions: dict[str, str]) -> str | None:
        """The tag, or None where the conditions did not hold."""
        reply = parts.complete(GONE | UNMET if conditions else GONE, **conditions)
        if not isinstance(reply, Refusal):
            return str(reply["ETag"]).strip('"')
        if reply.code in GONE:
            # The upload is gone: either an earlier try completed it and its reply was lost, or
            # somebody aborted it. The object's stamp tells which.
            tag = self._own()
            if tag is None:
                raise self._aborted()
            return tag
        return self._own() if reply.retried else None

    def _own(self) -> str | None:
        """The tag of the object that is there, if it can only be this one."""
        there = self._head(self._key)
        is_ours = there is not None and there.size == self._size and there.stamp == self._stamp != ""
        return there.tag if there is not None and is_ours else None

    def _aborted(self) -> TransientError:
        return TransientError(
            "the multipart upload was aborted by somebody else before it was complete",
            where=f"s3://{self._key}",
            next="try again; see whether a lifecycle rule aborts young uploads",
        )


def part_bytes(sent: int) -> int:
    """How large the next part is after so many."""
    return PART_BYTES * (1 + sent // PARTS_BEFORE_GROWTH)


def stamped(stamp: str) -> dict[str, str]:
    """An object's metadata with its stamp."""
    return {STAMP: stamp} if stamp else {}


def copy_in_parts(
    client: S3Client,
    source: ObjectInfo,
    copy_source: dict[str, str],
    key: str,
    described: dict[str, Any],
    conditions: dict[str, str],
) -> Any:
    """Copy an object too large for CopyObject; `described` is what CreateMultipartUpload must be told.

    The reply of CompleteMultipartUpload, or a Refusal where `conditions` did not hold; IntegrityError
    (exit code 4) where the source changed meanwhile. Nothing is left behind unless it succeeds.
    """
    parts = Parts(client, key, **described)

    def tag_of(reply: Any) -> str:
        if isinstance(reply, Refusal):
            raise changed(f"s3://{source.key}", source.tag, f"another now ({reply.code})")
        return str(reply["CopyPartResult"]["ETag"])

    try:
        for first, last in _part_spans(source.size):
            parts.send(
                "UploadPartCopy",
                tag_of,
                CopySource=copy_source,
                CopySourceIfMatch=source.tag,
                CopySourceRange=f"bytes={first}-{last - 1}",
            )
        reply = parts.complete(UNMET | CONFLICT | GONE, **conditions)
    except BaseException:
        parts.abort()
        raise
    if isinstance(reply, Refusal):
        parts.abort()
    return reply


def _part_spans(size: int) -> Sequence[tuple[int, int]]:
    step = max(COPY_PART_BYTES, -(-size // PARTS_MAX))
    return [(first, min(first + step, size)) for first in range(0, size, step)]
