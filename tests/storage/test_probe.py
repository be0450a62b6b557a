"""The probe: a store that would let two drivers overwrite each other's record is refused before any work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from raybackfill.errors import SpecError, TransientError
from raybackfill.spec.values import StorageSpec
from raybackfill.storage.local import LocalStore
from raybackfill.storage.memory import MemoryStore
from raybackfill.storage.meter import Meter
from raybackfill.storage.probe import probe
from raybackfill.storage.s3 import S3Store
from tests.stores import CHANGES, Crashed, CrashingStore, Ignoring, backfill, this_process, write_parquet

CONDITIONAL_COPY = (
    "conditional copy: a publisher that slept within one can put an old file over a newer one, "
    "until the next command repairs it"
)


@pytest.mark.parametrize(
    ("ignored", "missing"),
    [
        ((), []),
        (("copy",), ["conditional copy"]),
        (("delete",), ["conditional delete"]),
        (("replaces",), ["conditional replace"]),
        (("read",), ["conditional read"]),
        (("copy", "replaces", "read"), ["conditional replace", "conditional read", "conditional copy"]),
    ],
)
def test_what_is_merely_missing_is_said(ignored: tuple[str, ...], missing: list[str]) -> None:
    store = Ignoring(*ignored)
    findings = probe(store, "/state/probe", "t", single_writer=False)
    assert [said.split(":")[0] for said in findings.missing] == missing
    assert store.page("/").objects.num_rows == 0


def test_a_second_create_that_succeeds_is_refused_unless_nobody_else_writes() -> None:
    store = Ignoring("create")
    with pytest.raises(SpecError, match="accepts a second create") as caught:
        probe(store, "/state/probe", "t", single_writer=False)
    assert "storage.single_writer: true" in caught.value.next
    assert caught.value.exit_code == 2
    findings = probe(store, "/state/probe", "t", single_writer=True)
    assert findings.missing[0].startswith("create-only put")
    assert store.page("/").objects.num_rows == 0


def test_an_outage_is_no_missing_verb() -> None:
    class Away(MemoryStore):
        def put(self, *args: Any, **options: Any) -> Any:
            raise TransientError("503")

    with pytest.raises(TransientError, match="503"):
        probe(Away(), "/state/probe", "t", single_writer=True)


def test_nothing_is_left_by_a_probe_that_fails_and_little_by_one_that_is_cut_off() -> None:
    calls = CrashingStore(MemoryStore())
    probe(calls, "/state/probe", "t", single_writer=False)
    assert len(calls.calls) <= 28
    for at in range(1, len(calls.calls) + 1):
        store = MemoryStore()
        with pytest.raises(Crashed):
            probe(
                CrashingStore(store, at, after=calls.calls[at - 1] in CHANGES),
                "/s/probe",
                "t",
                single_writer=False,
            )
        assert store.page("/").objects.num_rows <= 2


def test_the_time_is_the_stores_own(tmp_path: Path) -> None:
    for store in (MemoryStore(), LocalStore(Meter())):
        now = probe(store, f"{tmp_path}/probe", "t", single_writer=False).now
        assert now is not None
        assert abs(datetime.now(UTC) - now) < timedelta(minutes=5)


def test_a_disk_has_all(tmp_path: Path) -> None:
    findings = probe(LocalStore(Meter()), f"{tmp_path}/probe", "t", single_writer=False)
    assert findings.missing == ()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_s3_says_what_its_server_ignores(s3_storage: StorageSpec, s3_bucket: str) -> None:
    """moto takes the condition of a copy and ignores it, as some stores do."""
    store = S3Store(s3_storage)
    findings = probe(store, f"{s3_bucket}/probe", "t", single_writer=False)
    assert findings.missing == (CONDITIONAL_COPY,)
    assert store.page(f"{s3_bucket}/").objects.num_rows == 0


@pytest.fixture
def unconditional(s3_storage: StorageSpec, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageSpec]:
    """A server that knows no conditions: it drops their headers, as some proxies and gateways do."""

    def without_conditions(request: Any, **_: Any) -> None:
        for name in ("If-None-Match", "If-Match"):
            if name in request.headers and request.method == "PUT":
                del request.headers[name]

    real = boto3.session.Session.client

    def client(self: Any, *args: Any, **options: Any) -> Any:
        made = real(self, *args, **options)
        made.meta.events.register_first("before-sign.s3", without_conditions)
        return made

    monkeypatch.setattr(boto3.session.Session, "client", client)
    yield s3_storage


def test_an_s3_without_conditions_is_refused_and_serves_one_writer(
    unconditional: StorageSpec, s3_bucket: str
) -> None:
    with pytest.raises(SpecError, match="accepts a second create"):
        probe(S3Store(unconditional), f"{s3_bucket}/probe", "t", single_writer=False)
    alone = StorageSpec(
        endpoint_url=unconditional.endpoint_url, region=unconditional.region, single_writer=True
    )
    store = S3Store(alone)
    assert probe(store, f"{s3_bucket}/probe", "t", single_writer=True).missing == (
        CONDITIONAL_COPY,
        "conditional delete: what a closed run leaves under the target stays there",
    )
    first = store.put(f"{s3_bucket}/a", b"1", create=True)
    assert first is not None
    assert store.put(f"{s3_bucket}/a", b"2", create=True) is None
    assert store.put(f"{s3_bucket}/a", b"2", replaces="stale") is None
    assert store.put(f"{s3_bucket}/a", b"2", replaces=first.tag) is not None
    assert store.put(f"{s3_bucket}/b", b"2", replaces=first.tag) is None
    assert store.copy(f"{s3_bucket}/a", f"{s3_bucket}/a2", create=True) is not None
    assert store.copy(f"{s3_bucket}/a", f"{s3_bucket}/a2", create=True) is None
    assert store.read(f"{s3_bucket}/a").to_pybytes() == b"2"


CONFIG = """
name: orders
source: {{uri: /lake/raw, path: "dt={{dt:%Y-%m-%d}}/*"}}
target: {{uri: /lake/gold/orders, partition_by: [dt], storage: {{single_writer: {alone}}}}}
"""


def test_a_run_on_such_a_store_is_refused_before_any_work_unless_it_is_alone() -> None:
    import pyarrow as pa

    store = Ignoring("create")
    write_parquet(store, "/lake/raw/dt=2025-01-01/a.parquet", pa.table({"id": [1, 2]}))
    with this_process(store):
        with pytest.raises(SpecError, match="accepts a second create"):
            backfill(CONFIG.format(alone="false")).run(engine="inline")
        assert store.page("/lake/gold/orders/").objects.num_rows == 0
        assert backfill(CONFIG.format(alone="true")).run(engine="inline", new=True).exit_code == 0
    assert store.page("/lake/gold/orders/").objects.num_rows == 1
