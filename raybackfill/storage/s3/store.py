"""Keeps objects in S3: the verbs of an ObjectStore as S3 requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

import pyarrow as pa

from raybackfill.errors import IntegrityError, TransientError
from raybackfill.spec.values import StorageSpec
from raybackfill.storage import LISTING, ObjectInfo, Page, Unfinished, allows
from raybackfill.storage.meter import Meter
from raybackfill.storage.reading import EMPTY, changed, gone, open_ranges
from raybackfill.storage.s3.client import S3Client, split
from raybackfill.storage.s3.errors import CONFLICT, NETWORK_ERRORS, UNKNOWN, UNMET, Refusal, translated
from raybackfill.storage.s3.uploads import GONE, STAMP, S3Upload, copy_in_parts

WHOLE_BYTES_MAX = 64 * 1024 * 1024
"""Objects up to here are fetched in one request when most of them will be read."""

COPY_BYTES_MAX = 5_000_000_000
"""CopyObject refuses more than 5 GB."""

TRIES = 4
"""Of what botocore does not try again: a body that breaks off, and a conflict with another writer."""

PAUSE_SECONDS = 0.05


class S3Store:
    """An ObjectStore. Threads may share it. `pause` waits for so many seconds between tries."""

    scheme = "s3"

    def __init__(
        self,
        spec: StorageSpec = StorageSpec(),  # noqa: B008  (frozen)
        meter: Meter | None = None,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = S3Client(spec, meter or Meter())
        self._pause = pause
        self._single_writer = spec.single_writer

    def page(self, prefix: str, *, after: str | None = None, folders: bool = False) -> Page:
        bucket, _ = split(prefix)
        parameters = {"Delimiter": "/"} if folders else {}
        if after is not None:
            parameters["ContinuationToken"] = after
        reply = self._client.list_page(prefix, **parameters)
        found = tuple(f"{bucket}/{each['Prefix']}" for each in reply.get("CommonPrefixes", ()))
        return Page(_listing(bucket, reply.get("Contents", ())), found, reply.get("NextContinuationToken"))

    def head(self, key: str) -> ObjectInfo | None:
        """As promised; S3 does not tell here whether the object or its whole bucket is missing."""
        reply = self._client.call("HeadObject", key, expected=frozenset({"NoSuchKey"}))
        return None if isinstance(reply, Refusal) else _info(key, reply)

    def read(
        self, key: str, *, offset: int = 0, size: int | None = None, tag: str | None = None
    ) -> pa.Buffer:
        if size == 0:
            self._check(key, tag)
            return EMPTY
        parameters = _range(offset, size) | ({} if tag is None else {"IfMatch": tag})
        data = self._get(key, tag, parameters)
        return data.slice(0, size) if size is not None and len(data) > size else data

    def open(self, info: ObjectInfo, *, whole: bool) -> pa.NativeFile:
        """As promised; a file that is not fetched whole has its tag checked by each of its reads."""
        if info.size == 0:
            self._check(info.key, info.tag)
            return pa.BufferReader(EMPTY)
        if whole and info.size <= WHOLE_BYTES_MAX:
            return pa.BufferReader(self.read(info.key, tag=info.tag))
        return open_ranges(self, info)

    def put(
        self, key: str, data: bytes, *, create: bool = False, replaces: str | None = None
    ) -> ObjectInfo | None:
        if self._single_writer and (create or replaces is not None):
            return self._put_alone(key, data, create, replaces)
        condition = {"IfNoneMatch": "*"} if create else {}
        if replaces is not None:
            condition["IfMatch"] = replaces
        retried = False
        for number in range(1, TRIES + 1):
            reply = self._put(key, data, condition, CONFLICT | UNMET if condition else frozenset())
            if not isinstance(reply, Refusal):
                return ObjectInfo(key, len(data), _tag(reply))
            retried = retried or reply.retried
            if reply.code not in CONFLICT:
                # A try whose reply was lost may be the very object that now refuses the next one.
                return self._own(key, data) if retried else None
            retried = True
            self._wait(number)
        raise TransientError(
            f"other writers kept this object busy in {TRIES} tries", where=f"s3://{key}", next="try again"
        )

    def upload(self, key: str, *, stamp: str) -> S3Upload:
        return S3Upload(self._client, key, stamp, self.head, self._conditions)

    def copy(
        self,
        source: str,
        key: str,
        *,
        tag: str | None = None,
        create: bool = False,
        replaces: str | None = None,
    ) -> ObjectInfo | None:
        """As promised; objects above 5 GB are copied in parts and get another tag. The conditions are looked
        at first and sent all the same: a store that ignores them, of which there are many, then lets only
        a writer through who comes between the two."""
        described = self._client.call("HeadObject", source, expected=frozenset({"NoSuchKey"}))
        if isinstance(described, Refusal):
            raise gone(f"s3://{source}")
        original = _info(source, described)
        if tag is not None and original.tag != tag:
            raise changed(f"s3://{source}", tag, original.tag)
        if (create or replaces is not None) and not allows(self.head(key), create=create, replaces=replaces):
            return None
        if source == key:
            return original
        conditions = self._conditions(create, replaces)
        if original.size <= COPY_BYTES_MAX:
            reply = self._copy_at_once(original, key, conditions)
        else:
            reply = self._copy_in_parts(original, described, key, conditions)
        if isinstance(reply, Refusal):
            return self._refused_copy(original, key, create, replaces, reply)
        return ObjectInfo(key, original.size, _tag(reply.get("CopyObjectResult", reply)), original.stamp)

    def refuses_copy(self, source: str, key: str, *, tag: str, replaces: str | None, parts: bool) -> bool:
        """As promised; many compatible stores take the conditions and ignore them."""
        there = self.head(source)
        conditions = self._conditions(replaces is None, replaces)
        if there is None or not conditions or not self._client.takes("CopyObject", "IfMatch"):
            return False
        original = replace(there, tag=tag)
        if not parts:
            return isinstance(self._copy_at_once(original, key, conditions), Refusal)
        try:
            return isinstance(self._copy_in_parts(original, {}, key, conditions), Refusal)
        except IntegrityError:
            return True

    def delete(self, key: str, *, tag: str | None = None) -> bool:
        if tag is not None:
            there = self.head(key)
            if there is None or there.tag != tag:
                return there is None
        reply = self._delete(key, tag)
        if not isinstance(reply, Refusal) or reply.code == "NoSuchKey":
            return True
        return self.head(key) is None

    def refuses_delete(self, key: str, *, tag: str) -> bool:
        if self._single_writer or not self._client.takes("DeleteObject", "IfMatch"):
            return False
        return isinstance(self._delete(key, tag), Refusal)

    def _delete(self, key: str, tag: str | None) -> Any:
        conditions = {} if tag is None or self._single_writer else {"IfMatch": tag}
        return self._with_conditions("DeleteObject", key, conditions, {"NoSuchKey"})

    def _put_alone(self, key: str, data: bytes, create: bool, replaces: str | None) -> ObjectInfo | None:
        """Look, then write: enough where nobody else writes, on a store that knows no conditions."""
        there = self.head(key)
        if (create and there is not None) or (
            replaces is not None and (there is None or there.tag != replaces)
        ):
            return None
        reply = self._put(key, data, {}, frozenset())
        return ObjectInfo(key, len(data), _tag(reply))

    def _put(self, key: str, data: bytes, condition: dict[str, str], expected: frozenset[str]) -> Any:
        return self._client.call(
            "PutObject", key, expected=expected, Body=data, **condition, **self._client.encryption()
        )

    def _own(self, key: str, data: bytes) -> ObjectInfo | None:
        """The object that is there, if its bytes are those we sent."""
        there = self.head(key)
        if there is None or there.size != len(data):
            return None
        try:
            return there if self.read(key, tag=there.tag).equals(pa.py_buffer(data)) else None
        except IntegrityError:
            # Replaced between the two looks: whoever did that, it is not ours now.
            return None

    def _get(self, key: str, tag: str | None, parameters: dict[str, str]) -> pa.Buffer:
        expected = UNMET | {"InvalidRange"}
        number = 0
        while True:
            reply = self._client.call("GetObject", key, expected=expected, **parameters)
            if isinstance(reply, Refusal):
                return self._unread(key, tag, reply)
            if tag is not None and _tag(reply) != tag:
                raise changed(f"s3://{key}", tag, _tag(reply))
            try:
                return self._receive(reply)
            except NETWORK_ERRORS as error:
                number += 1
                if number == TRIES:
                    raise translated(error, f"s3://{key}", "GetObject") from error
                self._wait(number)

    def _receive(self, reply: dict[str, Any]) -> pa.Buffer:
        """The body in one piece: boto3's `readinto` copies, and one that breaks off is an error here."""
        body = reply["Body"]
        try:
            return pa.py_buffer(body.read())
        finally:
            self._client.meter.count_read(body.tell())
            body.close()

    def _unread(self, key: str, tag: str | None, reply: Refusal) -> pa.Buffer:
        """A range that lies outside the object is nothing, but only of the object asked for."""
        if reply.code == "NoSuchKey":
            raise gone(f"s3://{key}")
        there = self._check(key, tag)
        if reply.code == "InvalidRange":
            return EMPTY
        raise changed(f"s3://{key}", tag or "", f"{there.tag} again, having been another meanwhile")

    def uploads(self, prefix: str) -> list[Unfinished]:
        bucket, _ = split(prefix)
        found: list[Unfinished] = []
        parameters: dict[str, str] = {}
        while True:
            reply = self._client.list_uploads(prefix, **parameters)
            found += [Unfinished(f"{bucket}/{u['Key']}", u["UploadId"]) for u in reply.get("Uploads", ())]
            if not reply.get("IsTruncated"):
                return found
            parameters = {
                "KeyMarker": reply["NextKeyMarker"],
                "UploadIdMarker": reply["NextUploadIdMarker"],
            }

    def abandon(self, key: str, upload: str) -> None:
        self._client.call("AbortMultipartUpload", key, expected=GONE, UploadId=upload)

    def _check(self, key: str, tag: str | None) -> ObjectInfo:
        there = self.head(key)
        if there is None:
            raise gone(f"s3://{key}")
        if tag is not None and there.tag != tag:
            raise changed(f"s3://{key}", tag, there.tag)
        return there

    def _conditions(self, create: bool, replaces: str | None) -> dict[str, str]:
        if self._single_writer:
            return {}
        if create:
            return {"IfNoneMatch": "*"}
        return {} if replaces is None else {"IfMatch": replaces}

    def _with_conditions(
        self, operation: str, key: str, conditions: dict[str, str], expected: AbstractSet[str], **more: Any
    ) -> Any:
        """Send conditions where boto3 and the store know them: both learned them later than those of put."""
        sent = {name: value for name, value in conditions.items() if self._client.takes(operation, name)}
        refused = CONFLICT | UNMET | expected
        reply = self._client.call(operation, key, expected=refused | UNKNOWN, **sent, **more)
        if isinstance(reply, Refusal) and reply.code in UNKNOWN:
            reply = self._client.call(operation, key, expected=refused, **more)
        return reply

    def _copy_at_once(self, original: ObjectInfo, key: str, conditions: dict[str, str]) -> Any:
        return self._with_conditions(
            "CopyObject",
            key,
            conditions,
            frozenset(),
            CopySource=_copy_source(original.key),
            CopySourceIfMatch=original.tag,
            **self._client.encryption(),
        )

    def _copy_in_parts(
        self, original: ObjectInfo, described: dict[str, Any], key: str, conditions: dict[str, str]
    ) -> Any:
        kept = ("ContentType", "ContentEncoding", "CacheControl", "ContentDisposition", "ContentLanguage")
        parameters = {name: described[name] for name in kept if name in described}
        return copy_in_parts(
            self._client,
            original,
            _copy_source(original.key),
            key,
            {"metadata": described.get("Metadata", {}), **parameters},
            conditions,
        )

    def _refused_copy(
        self, original: ObjectInfo, key: str, create: bool, replaces: str | None, reply: Refusal
    ) -> ObjectInfo | None:
        """S3 says the same of a source that changed and of a target that did: look which it was."""
        self._check(original.key, original.tag)
        there = self.head(key)
        is_conditional = create or replaces is not None
        if not is_conditional or allows(there, create=create, replaces=replaces):
            raise TransientError(
                f"the copy was refused ({reply.code}), though nothing is in its way any more",
                where=f"s3://{key}",
                next="try again",
            )
        return there if there and reply.retried and _is_copy(there, original) else None

    def _wait(self, number: int) -> None:
        self._pause(PAUSE_SECONDS * 4**number)


def _is_copy(there: ObjectInfo, original: ObjectInfo) -> bool:
    """Whether the object there can only be a copy of the original. In parts, only the stamp shows it."""
    same_stamp = there.stamp == original.stamp
    return there.size == original.size and same_stamp and (there.tag == original.tag or original.stamp != "")


def _range(offset: int, size: int | None) -> dict[str, str]:
    if offset < 0:
        return {"Range": f"bytes={offset}"}
    if size is not None:
        return {"Range": f"bytes={offset}-{offset + size - 1}"}
    return {"Range": f"bytes={offset}-"} if offset else {}


def _copy_source(key: str) -> dict[str, str]:
    bucket, name = split(key)
    return {"Bucket": bucket, "Key": name}


def _tag(reply: dict[str, Any]) -> str:
    return str(reply["ETag"]).strip('"')


def _info(key: str, reply: dict[str, Any]) -> ObjectInfo:
    stamp = reply.get("Metadata", {}).get(STAMP, "")
    return ObjectInfo(key, int(reply["ContentLength"]), _tag(reply), stamp)


def _listing(bucket: str, contents: Any) -> pa.Table:
    return pa.table(
        {
            "key": [f"{bucket}/{each['Key']}" for each in contents],
            "size": [each["Size"] for each in contents],
            "tag": [each["ETag"].strip('"') for each in contents],
            "modified": [each["LastModified"] for each in contents],
        },
        schema=LISTING,
    )
