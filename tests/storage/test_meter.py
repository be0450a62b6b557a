"""The meter says what the S3 server saw."""

from __future__ import annotations

from collections import Counter

import pytest

from raybackfill.demo.server import S3Server
from raybackfill.spec.values import StorageSpec
from raybackfill.storage.meter import KINDS, Meter
from raybackfill.storage.s3 import S3Store, store, uploads

FIVE_MIB = 5 * 1024 * 1024


def test_a_new_meter_has_every_count() -> None:
    assert Meter().snapshot() == dict.fromkeys((*KINDS, "bytes_read", "bytes_written"), 0)


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KeyError):
        Meter().count("peek")


def test_counts_equal_the_requests_that_the_server_saw(
    s3_server: S3Server, s3_storage: StorageSpec, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PART_BYTES", FIVE_MIB)
    monkeypatch.setattr(uploads, "COPY_PART_BYTES", FIVE_MIB)
    monkeypatch.setattr(store, "COPY_BYTES_MAX", FIVE_MIB)
    meter = Meter()
    before = Counter(s3_server.requests())
    use_every_verb(S3Store(s3_storage, meter), s3_bucket)
    seen = Counter(s3_server.requests())
    seen.subtract(before)
    # Asking the server for its counts is answered outside moto and not among them.
    counted = meter.snapshot()
    assert {kind: counted[kind] for kind in KINDS} == {kind: seen[kind] for kind in KINDS}
    assert all(counted[kind] > 0 for kind in KINDS)


def use_every_verb(s3: S3Store, bucket: str) -> None:
    small = s3.put(f"{bucket}/small", b"12345", create=True)
    assert small is not None and s3.put(f"{bucket}/small", b"12345", create=True) is None
    upload = s3.upload(f"{bucket}/large", stamp="s")
    upload.write(b"x" * (3 * FIVE_MIB))
    large = upload.commit()
    aborted = s3.upload(f"{bucket}/aborted", stamp="s")
    aborted.write(b"x" * FIVE_MIB)
    aborted.abort()
    s3.copy(small.key, f"{bucket}/copy")
    s3.copy(large.key, f"{bucket}/large-copy", create=True)
    s3.read(small.key, offset=2)
    s3.open(large, whole=False).read(100)
    s3.head(f"{bucket}/none")
    s3.page(f"{bucket}/")
    s3.delete(small.key)
