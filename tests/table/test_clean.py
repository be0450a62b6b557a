"""clean removes what lost, and nothing that may win yet or has won, whenever it comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from raybackfill.control.proving.littering import Litter, losers
from raybackfill.control.running.entries import receipt_entry, redo_entry, split_entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.model import Receipt, Rows
from raybackfill.paths import RunPaths
from raybackfill.spec.values import StorageSpec
from raybackfill.storage.s3 import S3Store
from tests.cli.commands import command
from tests.demo.test_server import S3Server
from tests.faults.crashes import Kept, Watched, deaths
from tests.proving.faults import STAGED
from tests.proving.shop import Shop, expected
from tests.stores import this_process

RUN = RunPaths("/state", "orders", "orders-1")


def staged(unit: str, attempt: str) -> Litter:
    return Litter(RUN.staged_file(unit, attempt, 0), 1, "tag")


def test_only_what_lost_may_go() -> None:
    ledger = Ledger()
    for unit in ("won", "again"):
        ledger.apply(receipt_entry(Receipt(unit, "1", Rows(), (), 0, 0)))
    ledger.apply(split_entry("divided", []))
    ledger.apply(redo_entry(receipt_entry(Receipt("again", "1", Rows(), (), 0, 0)), "damaged"))
    found = [staged("won", "1"), staged("won", "2"), staged("divided", "1"), staged("open", "1")]
    found += [staged("again", "1"), Litter(f"{RUN.staged}note", 1, "tag"), Litter("/elsewhere/a/b/c", 1, "")]
    assert losers(found, RUN, ledger) == [staged("won", "2"), staged("divided", "1")]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop.opened(tmp_path, monkeypatch, Kept())
    shop.run(publish=False)
    return shop


def loser_of(shop: Shop) -> str:
    """The file of another attempt at a unit that is decided, by somebody who died."""
    key = shop.staged()[0]
    folder, attempt, name = key.rsplit("/", 2)
    lost = f"{folder}/{attempt}-dead/{name}"
    shop.store.put(lost, shop.data(key))
    return lost


def clean(shop: Shop, *, apply: bool) -> dict[str, object]:
    with this_process(shop.store):
        found: dict[str, object] = shop.asked.clean(apply=apply)
    return found


def test_a_loser_is_shown_first_and_then_removed(shop: Shop) -> None:
    kept = shop.staged()
    lost = loser_of(shop)
    undecided = f"{lost.rsplit('/', 3)[0]}/0000000000000000/asleep/part-00000.staged"
    shop.store.put(undecided, b"may win yet")
    shown = clean(shop, apply=False)
    assert (shown["files"], shown["bytes"], shown["applied"]) == (1, len(shop.data(lost)), False)
    assert shop.store.head(lost) is not None, "it was only shown"
    assert clean(shop, apply=True)["files"] == 1
    assert [shop.store.head(key) is not None for key in (lost, undecided, *kept)] == [False] + [True] * 4
    assert clean(shop, apply=True)["files"] == 0
    assert shop.verify()["result"] == "passed"
    assert shop.resume().exit_code == 0
    assert shop.table() == expected()


def test_what_a_repair_took_back_goes_once_the_unit_is_decided_again(shop: Shop) -> None:
    STAGED[1].harm(shop)
    before = set(shop.staged_keys())
    assert shop.verify(repair=True)["result"] == "passed"
    # Its file and its receipt.
    assert clean(shop, apply=True)["files"] == 2
    assert len(before - set(shop.staged_keys())) == 1
    assert shop.verify()["result"] == "passed"


def test_what_a_zombie_leaves_after_the_close_goes(shop: Shop) -> None:
    assert shop.resume().exit_code == 0
    with this_process(shop.store):
        shop.asked.newest_run().close()
    assert clean(shop, apply=False)["files"] == 0
    late = f"{shop.receipts()[0].rsplit('/', 2)[0]}/late/part-00000.staged"
    shop.store.put(late, b"late")
    assert clean(shop, apply=True)["files"] == 1
    assert shop.store.head(late) is None
    assert shop.table() == expected()


def test_a_clean_that_dies_anywhere_harms_nothing(shop: Shop) -> None:
    loser_of(shop)
    watched = Watched(shop.store)  # type: ignore[arg-type]
    clean(replace(shop, store=watched), apply=True)  # type: ignore[arg-type]
    died = deaths(watched)
    assert len(died) > 1
    for death in died:
        later = replace(shop, store=death.left.copy_of_all())
        clean(later, apply=True)
        assert later.resume().exit_code == 0
        assert later.table() == expected()


def test_unfinished_uploads_of_s3_are_found_and_thrown_away(s3_server: S3Server, s3_bucket: str) -> None:
    client = boto3.client("s3", endpoint_url=s3_server.endpoint_url, region_name="us-east-1")
    for name in ("staged/u/1/a", "staged/u/2/a", "elsewhere/b"):
        client.create_multipart_upload(Bucket=s3_bucket, Key=name)
    store = S3Store(StorageSpec(endpoint_url=s3_server.endpoint_url, region="us-east-1"))
    found = store.uploads(f"{s3_bucket}/staged/")
    assert [each.key for each in found] == [f"{s3_bucket}/staged/u/1/a", f"{s3_bucket}/staged/u/2/a"]
    for _ in range(2):
        store.abandon(found[0].key, found[0].id)
    left = {each.key for each in store.uploads(f"{s3_bucket}/")}
    assert left == {f"{s3_bucket}/elsewhere/b", found[1].key}


def test_the_command_shows_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("init", "orders").exit_code == 0
    assert command("run", "configs/orders.yaml", "--engine", "inline").exit_code == 0
    (winner,) = tmp_path.glob("tables/_raybackfill/orders/runs/*/staged/*/*")
    (winner.parent / "dead").mkdir()
    (winner.parent / "dead" / "part-00000.staged").write_bytes(b"dead")
    shown = command("clean", "configs/orders.yaml")
    assert (shown.exit_code, "1 file" in shown.out, "--apply" in shown.out) == (0, True, True)
    document = command("clean", "configs/orders.yaml", "--apply", "--json").document
    assert (document["format"], document["files"], document["applied"]) == ("clean/1", 1, True)
    assert document["next"] is None
    assert not (winner.parent / "dead" / "part-00000.staged").exists()
    assert list(winner.iterdir())
