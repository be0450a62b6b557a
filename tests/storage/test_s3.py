"""What only S3 has: its errors, replies that get lost, large copies."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from raybackfill.errors import IntegrityError, RaybackfillError, SpecError, TransientError
from raybackfill.spec.values import StorageSpec
from raybackfill.storage import ObjectInfo
from raybackfill.storage.meter import Meter
from raybackfill.storage.s3 import S3Store, client, store, uploads
from raybackfill.storage.s3.errors import Refusal
from tests.storage.scripted import Answer, error, serving

FIVE_MIB = 5 * 1024 * 1024


@pytest.fixture
def s3(s3_storage: StorageSpec) -> S3Store:
    return S3Store(s3_storage)


@pytest.fixture
def small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies above 5 MiB go in parts of 5 MiB, the least that S3 takes."""
    monkeypatch.setattr(store, "COPY_BYTES_MAX", FIVE_MIB)
    monkeypatch.setattr(uploads, "COPY_PART_BYTES", FIVE_MIB)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    yield


def stamped_object(s3: S3Store, key: str, data: bytes) -> ObjectInfo:
    upload = s3.upload(key, stamp="unit-1.attempt-3")
    upload.write(data)
    return upload.commit()


# What goes wrong, and what is said of it


@pytest.mark.parametrize(
    "work",
    [
        lambda s3: s3.page("no-such-bucket/prefix/"),
        lambda s3: s3.read("no-such-bucket/key"),
        lambda s3: s3.put("no-such-bucket/key", b"x"),
        lambda s3: s3.put("no-such-bucket/key", b"x", create=True),
        lambda s3: s3.upload("no-such-bucket/key", stamp="").commit(),
    ],
)
def test_a_missing_bucket_is_named(s3: S3Store, work: Callable[[S3Store], object]) -> None:
    with pytest.raises(SpecError, match=r"s3://no-such-bucket/.*does not exist.*create it"):
        work(s3)


def test_an_endpoint_where_nothing_listens_is_named_without_retries() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        meter = Meter()
        with pytest.raises(TransientError, match="endpoint_url") as caught:
            S3Store(StorageSpec(endpoint_url=url), meter).head("bucket/key")
    assert caught.value.where == url
    assert sum(meter.snapshot().values()) == 0


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(SpecError, match=r"storage\.endpoint_url"):
        S3Store(StorageSpec(endpoint_url="localhost 9000"))


def test_a_profile_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SpecError, match="nobody"):
        S3Store(StorageSpec(profile="nobody"))


def test_without_credentials_the_ways_to_give_them_are_named(
    s3_storage: StorageSpec, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SpecError, match="AWS_ACCESS_KEY_ID"):
        S3Store(s3_storage).head(f"{s3_bucket}/key")
    anonymous = StorageSpec(endpoint_url=s3_storage.endpoint_url, anonymous=True)
    assert S3Store(anonymous).page(f"{s3_bucket}/").objects.num_rows == 0


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (403, "AccessDenied", SpecError, "no permission.*grant s3:GetObject"),
        (403, "InvalidAccessKeyId", SpecError, "access key is not known"),
        (403, "SignatureDoesNotMatch", SpecError, "secret key"),
        (403, "RequestTimeTooSkewed", SpecError, "clock"),
        (403, "InvalidObjectState", SpecError, "archived"),
        (400, "ExpiredToken", TransientError, "expired.*resume"),
        (400, "KMS.DisabledException", SpecError, "kms_key"),
        (418, "Teapot", SpecError, "418 Teapot, it says Teapot"),
        (501, "NotImplemented", TransientError, "501 NotImplemented"),
        (503, "SlowDown", TransientError, "overloaded.*SlowDown"),
        (500, "InternalError", TransientError, "InternalError"),
    ],
)
def test_errors_by_code(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, kind: type[RaybackfillError], says: str
) -> None:
    monkeypatch.setattr(client, "ATTEMPTS", 1)
    with serving(lambda *_: error(status, code)) as url:
        s3 = S3Store(StorageSpec(endpoint_url=url))
        with pytest.raises(kind, match=f"(?s){says}") as caught:
            s3.read("bucket/some/key")
    assert caught.value.where == "s3://bucket/some/key"


def test_a_head_that_is_forbidden_is_no_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ATTEMPTS", 1)
    with serving(lambda *_: Answer(403)) as url, pytest.raises(SpecError, match="s3:ListBucket"):
        S3Store(StorageSpec(endpoint_url=url)).head("bucket/key")


# Bodies that break off


class Body:
    """Serves one object; the first `broken` replies to GET announce all of it and send a part."""

    def __init__(self, data: bytes, broken: int) -> None:
        self.data = data
        self.broken = broken
        self.gets = 0

    def __call__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.gets += 1
        tag = {"ETag": '"tag-1"'}
        if self.gets <= self.broken:
            return Answer(200, self.data[: len(self.data) // 2], tag, announced=len(self.data))
        return Answer(200, self.data, tag)


def test_a_body_that_breaks_off_is_fetched_again() -> None:
    body, pauses, meter = Body(b"0123456789" * 1000, broken=2), [], Meter()
    with serving(body) as url:
        s3 = S3Store(StorageSpec(endpoint_url=url), meter, pause=pauses.append)
        assert s3.read("bucket/key", tag="tag-1").to_pybytes() == body.data
    assert body.gets == 3 and len(pauses) == 2 and pauses[1] > pauses[0] > 0
    counted = meter.snapshot()
    assert counted["get"] == 3 and counted["bytes_read"] >= len(body.data)


def test_a_body_that_always_breaks_off_is_given_up() -> None:
    body, pauses = Body(b"0123456789" * 1000, broken=1000), []
    with serving(body) as url:
        s3 = S3Store(StorageSpec(endpoint_url=url), pause=pauses.append)
        with pytest.raises(TransientError, match="s3://bucket/key"):
            s3.read("bucket/key")
    assert body.gets == store.TRIES and len(pauses) == store.TRIES - 1


def test_a_store_that_ignores_if_match_is_seen_through() -> None:
    with serving(Body(b"other content", broken=0)) as url:
        s3 = S3Store(StorageSpec(endpoint_url=url))
        with pytest.raises(IntegrityError, match=r"tag-0.*tag-1"):
            s3.read("bucket/key", tag="tag-0")


# Conditional puts whose replies get lost


class OneObject:
    """Keeps one object with conditions as S3 does; `script` says what becomes of each PUT:
    "ok", "lost" (done, but no reply), "busy" (409), or bytes that somebody else puts there first."""

    def __init__(self, *script: str | bytes) -> None:
        self.script = list(script)
        self.data: bytes | None = None
        self.puts = 0

    @property
    def tag(self) -> str:
        return hashlib.md5(self.data or b"").hexdigest()

    def __call__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method != "PUT":
            tag = {"ETag": f'"{self.tag}"'}
            return error(404, "NoSuchKey") if self.data is None else Answer(200, self.data, tag)
        self.puts += 1
        step = self.script.pop(0) if self.script else "ok"
        if isinstance(step, bytes):
            self.data = step
        if step == "busy":
            return error(409, "ConditionalRequestConflict")
        if headers.get("if-none-match") == "*" and self.data is not None:
            return error(412, "PreconditionFailed")
        if "if-match" in headers and headers["if-match"].strip('"') != self.tag:
            return error(412, "PreconditionFailed")
        self.data = body
        return Answer(0) if step == "lost" else Answer(200, b"", {"ETag": f'"{self.tag}"'})


def put_into(server: OneObject, **condition: Any) -> ObjectInfo | None:
    with serving(server) as url:
        s3 = S3Store(StorageSpec(endpoint_url=url), pause=lambda _: None)
        return s3.put("bucket/key", b"mine", **condition)


def test_a_create_refused_by_its_own_object_has_succeeded() -> None:
    server = OneObject("lost")
    made = put_into(server, create=True)
    assert server.puts == 2
    assert made == ObjectInfo("bucket/key", 4, server.tag)


def test_a_replace_refused_by_its_own_object_has_succeeded() -> None:
    server = OneObject("lost")
    server.data = b"before"
    made = put_into(server, replaces=server.tag)
    assert server.puts == 2 and made is not None and made.tag == server.tag


def test_a_create_refused_by_equal_bytes_of_another_has_not_succeeded() -> None:
    """Nothing was sent twice, so that what is there cannot be ours."""
    assert put_into(OneObject(b"mine"), create=True) is None


@pytest.mark.parametrize("other", [b"their", b"yours"])
def test_a_create_that_was_retried_and_lost_to_another(other: bytes) -> None:
    server = OneObject("busy", other)
    assert put_into(server, create=True) is None
    assert server.data == other


def test_a_conflict_is_tried_again() -> None:
    server = OneObject("busy", "busy", "ok")
    made = put_into(server, create=True)
    assert made is not None and server.puts == 3


def test_an_endless_conflict_is_given_up() -> None:
    with pytest.raises(TransientError, match="busy"):
        put_into(OneObject(*["busy"] * 100), create=True)


# Copies and uploads


def test_a_large_copy_goes_in_parts_and_keeps_its_stamp(
    s3: S3Store, s3_bucket: str, small_copies: None, s3_storage: StorageSpec
) -> None:
    data = os.urandom(2 * FIVE_MIB + 7)
    original = stamped_object(s3, f"{s3_bucket}/original", data)
    copied = s3.copy(original.key, f"{s3_bucket}/copy")
    assert copied is not None
    assert (copied.size, copied.stamp) == (original.size, "unit-1.attempt-3")
    assert copied.tag.endswith("-3")
    assert s3.head(copied.key) == copied
    assert s3.read(copied.key, tag=copied.tag).to_pybytes() == data
    assert s3.copy(original.key, f"{s3_bucket}/copy", create=True) is None
    assert s3.copy(original.key, f"{s3_bucket}/second", create=True) is not None
    assert pending(s3_storage, s3_bucket) == []


def test_a_source_that_changes_during_a_large_copy_is_noticed(
    s3: S3Store, s3_bucket: str, small_copies: None, s3_storage: StorageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto does not look at the condition of UploadPartCopy, so that S3's answer is put in its place."""
    original = stamped_object(s3, f"{s3_bucket}/original", b"x" * (2 * FIVE_MIB))
    conditions: list[str] = []

    def refuse(params: dict[str, Any], **_: object) -> None:
        conditions.append(params["headers"]["x-amz-copy-source-if-match"])
        params["headers"]["x-amz-copy-source"] = f"{s3_bucket}/no-such-source"

    s3._client._client.meta.events.register("before-call.s3.UploadPartCopy", refuse)
    with pytest.raises(IntegrityError) as caught:
        s3.copy(original.key, f"{s3_bucket}/copy")
    assert caught.value.exit_code == 4
    assert set(conditions) == {original.tag}
    assert s3.head(f"{s3_bucket}/copy") is None
    assert pending(s3_storage, s3_bucket) == []


def test_copies_carry_their_conditions(s3: S3Store, s3_bucket: str) -> None:
    """moto ignores them, S3 does not."""
    sent: list[dict[str, Any]] = []
    events = s3._client._client.meta.events
    events.register("before-call.s3.CopyObject", lambda params, **_: sent.append(dict(params["headers"])))
    original = stamped_object(s3, f"{s3_bucket}/original", b"x")
    s3.copy(original.key, f"{s3_bucket}/copy")
    s3.copy(original.key, f"{s3_bucket}/created", create=True)
    s3.copy(original.key, f"{s3_bucket}/copy", tag=original.tag, replaces=original.tag)
    assert [headers.get("If-None-Match") for headers in sent] == [None, "*", None]
    assert [headers.get("If-Match") for headers in sent] == [None, None, original.tag]
    assert [headers["x-amz-copy-source-if-match"] for headers in sent] == [original.tag] * 3


def test_copies_in_parts_carry_them_to_the_last_step(s3: S3Store, s3_bucket: str, small_copies: None) -> None:
    sent: list[dict[str, Any]] = []
    events = s3._client._client.meta.events
    events.register(
        "before-call.s3.CompleteMultipartUpload", lambda params, **_: sent.append(dict(params["headers"]))
    )
    original = stamped_object(s3, f"{s3_bucket}/original", b"x" * (FIVE_MIB + 1))
    there = stamped_object(s3, f"{s3_bucket}/there", b"old")
    assert s3.copy(original.key, f"{s3_bucket}/created", create=True) is not None
    assert s3.copy(original.key, there.key, replaces=there.tag) is not None
    assert [(headers.get("If-None-Match"), headers.get("If-Match")) for headers in sent] == [
        ("*", None),
        (None, there.tag),
    ]


def test_the_probe_tries_copies_in_parts_and_leaves_none(
    s3: S3Store, s3_bucket: str, s3_storage: StorageSpec
) -> None:
    """moto keeps the condition that nothing is there when an upload is completed, and ignores the other."""
    source, there = (stamped_object(s3, f"{s3_bucket}/{name}", name.encode()) for name in ("one", "two"))
    assert s3.refuses_copy(source.key, there.key, tag=source.tag, replaces=None, parts=True)
    assert s3.head(there.key) == there
    assert not s3.refuses_copy(source.key, there.key, tag=source.tag, replaces=source.tag, parts=True)
    assert s3.read(there.key).to_pybytes() == b"one"
    assert pending(s3_storage, s3_bucket) == []


def test_a_lost_reply_to_the_last_step_of_an_upload(
    s3: S3Store, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is done before, as a request whose reply was lost has done it: now the upload is gone."""
    monkeypatch.setattr(uploads, "PART_BYTES", FIVE_MIB)
    upload = s3.upload(f"{s3_bucket}/object", stamp="unit-1.attempt-3")
    upload.write(b"x" * (FIVE_MIB + 1))
    complete = uploads.Parts.complete

    def complete_twice(parts: uploads.Parts, expected: frozenset[str], **conditions: str) -> Any:
        complete(parts, expected, **conditions)
        return Refusal("NoSuchUpload", True)

    monkeypatch.setattr(uploads.Parts, "complete", complete_twice)
    made = upload.commit()
    assert s3.head(f"{s3_bucket}/object") == made
    stranger = s3.upload(f"{s3_bucket}/object", stamp="unit-1.attempt-4")
    stranger.write(b"x" * (FIVE_MIB + 1))
    monkeypatch.setattr(uploads.Parts, "complete", lambda *_: Refusal("NoSuchUpload", False))
    with pytest.raises(TransientError, match="aborted by somebody else"):
        stranger.commit()
    monkeypatch.undo()
    stranger.abort()


class FailingParts:
    """Begins multipart uploads and refuses their parts; remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.asked.append(f"{method} {path.partition('&')[0]}")
        if method == "POST":
            return Answer(
                200, b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
            )
        return Answer(204) if method == "DELETE" else error(404, "NoSuchUpload")


def test_an_upload_whose_parts_fail_says_so_and_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART_BYTES", 1000)
    server = FailingParts()
    with serving(server) as url:
        upload = S3Store(StorageSpec(endpoint_url=url)).upload("bucket/object", stamp="s")
        with pytest.raises(TransientError, match="aborted by somebody else"):
            for _ in range(8):
                upload.write(b"x" * 1000)
        upload.abort()
    assert server.asked[0] == "POST /bucket/object?uploads"
    assert server.asked[-1] == "DELETE /bucket/object?uploadId=u1"
    assert all(asked.startswith("PUT") for asked in server.asked[1:-1])


def test_parts_grow_so_that_ten_thousand_hold_a_large_object(s3: S3Store) -> None:
    sizes = [uploads.part_bytes(sent) for sent in range(10_000)]
    assert set(sizes[:1000]) == {uploads.PART_BYTES}
    assert sizes == sorted(sizes) and sum(sizes) > 800 * 1024**3


def test_the_encryption_key_goes_with_every_object(
    s3_storage: StorageSpec, s3_bucket: str, small_copies: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PART_BYTES", FIVE_MIB)
    s3 = S3Store(StorageSpec(endpoint_url=s3_storage.endpoint_url, region="us-east-1", kms_key="alias/ours"))
    s3.put(f"{s3_bucket}/put", b"x")
    stamped_object(s3, f"{s3_bucket}/single", b"x")
    stamped_object(s3, f"{s3_bucket}/parts", b"x" * (FIVE_MIB + 1))
    s3.copy(f"{s3_bucket}/put", f"{s3_bucket}/copy")
    s3.copy(f"{s3_bucket}/parts", f"{s3_bucket}/copy-in-parts")
    for name in ("put", "single", "parts", "copy", "copy-in-parts"):
        described = raw(s3_storage).head_object(Bucket=s3_bucket, Key=name)
        assert (described["ServerSideEncryption"], described["SSEKMSKeyId"]) == ("aws:kms", "alias/ours"), (
            name
        )


def test_pages_of_a_thousand(s3: S3Store, s3_bucket: str) -> None:
    for number in range(1003):
        s3.put(f"{s3_bucket}/p/{number:04}", b"")
    first = s3.page(f"{s3_bucket}/p/")
    assert first.objects.num_rows == 1000 and first.after is not None
    second = s3.page(f"{s3_bucket}/p/", after=first.after)
    assert second.objects["key"].to_pylist() == [f"{s3_bucket}/p/{number}" for number in (1000, 1001, 1002)]
    assert second.after is None


def raw(storage: StorageSpec) -> Any:
    return boto3.client("s3", endpoint_url=storage.endpoint_url, region_name="us-east-1")


def pending(storage: StorageSpec, bucket: str) -> list[Any]:
    return list(raw(storage).list_multipart_uploads(Bucket=bucket).get("Uploads", []))
