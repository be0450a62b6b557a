"""Whatever befalls a run's files, receipts or rows is found by the checks that claim it, and mended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raybackfill.errors import RaybackfillError
from tests.proving.faults import PUBLISHED, SLIPS, STAGED, Fault, Slip
from tests.proving.shop import CONFIG, Shop, expected
from tests.stores import backfill, this_process


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.opened(tmp_path, monkeypatch)


def named(fault: Fault | Slip) -> str:
    return fault.name.replace(" ", "-")


def failed_checks(document: dict[str, object]) -> set[str]:
    checks: list[dict[str, object]] = document["checks"]  # type: ignore[assignment]
    return {str(check["name"]) for check in checks if check["result"] == "failed"}


@pytest.mark.parametrize("publish", [False, True])
def test_nothing_is_found_where_nothing_is_wrong(shop: Shop, publish: bool) -> None:
    shop.run(publish=publish)
    found = shop.verify()
    assert found["result"] == "passed", found["findings"]
    assert (found["units"], found["units_read_back"], found["exit_code"]) == (3, 3, 0)
    assert {check["name"] for check in found["checks"] if check["result"] == "skipped"} == (
        {"unlisted"} if publish else set()
    )


@pytest.mark.parametrize("fault", STAGED, ids=named)
def test_a_fault_of_what_is_staged_is_found_refused_and_mended(shop: Shop, fault: Fault) -> None:
    shop.run(publish=False)
    fault.harm(shop)
    found = shop.verify()
    assert (found["exit_code"], failed_checks(found)) == (4, fault.caught), found["findings"]
    refused = shop.resume()
    assert refused.exit_code == 4
    assert refused.gate is not None and refused.gate.name == "verified"
    assert shop.published() == [], "nothing is published"
    if fault.mended:
        mended = shop.verify(repair=True)
        assert mended["result"] == "passed", mended["findings"]
        assert mended["units_repaired"] > 0
        assert shop.resume().exit_code == 0
        assert shop.table() == expected()


@pytest.mark.parametrize("fault", PUBLISHED, ids=named)
def test_a_fault_of_what_is_published_is_found_and_mended(shop: Shop, fault: Fault) -> None:
    shop.run(publish=True)
    assert shop.table() == expected()
    fault.harm(shop)
    found = shop.verify()
    assert (found["exit_code"], failed_checks(found)) == (4, fault.caught), found["findings"]
    if fault.mended:
        mended = shop.verify(repair=True)
        assert mended["result"] == "passed", mended["findings"]
        assert (mended["state"], mended["table"]["version"]) == ("published", 2)
        assert shop.table() == expected()


def test_a_finding_names_its_partition(shop: Shop) -> None:
    shop.run(publish=True)
    PUBLISHED[0].harm(shop)
    assert {finding["partition"] for finding in shop.verify()["findings"]} == {"dt=2025-01-02"}


@pytest.mark.parametrize("slip", SLIPS, ids=named)
def test_a_slip_of_a_hop_never_reaches_the_table(
    shop: Shop, slip: Slip, monkeypatch: pytest.MonkeyPatch
) -> None:
    slip.slip(monkeypatch, shop)
    try:
        run = shop.run(publish=True)
    except RaybackfillError as error:
        assert slip.caught == {"counts"}, "a unit whose rows are not accounted for has no receipt"
        assert "not accounted for" in error.message or "rows" in error.message
    else:
        assert run.gate is not None and run.gate.name == "verified"
        assert failed_checks(shop.verify()) == slip.caught
    assert shop.published() == []


def test_without_read_back_files_are_still_looked_at(shop: Shop) -> None:
    shop.run(publish=False)
    STAGED[1].harm(shop)
    found = shop.verify(read_back="none")
    assert (found["result"], found["units_read_back"]) == ("passed", 0)
    STAGED[0].harm(shop)
    assert failed_checks(shop.verify(read_back="none")) == {"tag"}


def test_what_is_published_is_proved_after_the_run_was_closed(shop: Shop) -> None:
    shop.run(publish=True)
    with this_process(shop.store):
        shop.asked.newest_run().close()
    assert shop.staged() == []
    assert shop.verify()["result"] == "passed"
    PUBLISHED[0].harm(shop)
    assert failed_checks(shop.verify()) == {"tag", "readable"}
    with pytest.raises(RaybackfillError, match="a run that is closed is not repaired"):
        shop.verify(repair=True)


def test_a_run_that_was_taken_back_has_nothing_to_prove(shop: Shop) -> None:
    shop.run(publish=True)
    with this_process(shop.store):
        assert shop.asked.newest_run().rollback().status()["state"] == "rolled_back"
    with pytest.raises(RaybackfillError, match="nothing left to be proved"):
        shop.verify()


def test_a_repaired_run_can_be_taken_back(shop: Shop) -> None:
    shop.run(publish=True)
    PUBLISHED[0].harm(shop)
    assert shop.verify(repair=True)["result"] == "passed"
    with this_process(shop.store):
        assert shop.asked.newest_run().rollback().status()["state"] == "rolled_back"
    assert {path: rows for path, rows in shop.table().items() if rows} == {}


def test_a_published_run_is_compared_by_its_own_rows_and_not_those_of_runs_before(shop: Shop) -> None:
    """The second run is over one day; of the other two the table holds what the first one brought."""
    shop.run(publish=True)
    config = CONFIG.replace("transform:", "scope: {start: 2025-01-03, end: 2025-01-04}\ntransform:")
    later = replace(shop, asked=backfill(config, shop.asked.root))
    later.run(publish=True)
    found = later.verify()
    assert found["result"] == "passed", found["findings"]
    assert found["reconcile"][0]["rows_target"] == 1
