"""A repair that dies at any of its calls goes on to the same table, staged or published before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.crashes import Kept, Watched, deaths
from tests.faults.shapes import ALWAYS, UNPROBED
from tests.proving.faults import PUBLISHED, STAGED, Fault
from tests.proving.shop import Shop, expected
from tests.stores import this_process

FAULTS = [(STAGED[1], False), (STAGED[4], False), (PUBLISHED[1], True), (PUBLISHED[2], True)]


@pytest.mark.parametrize(("fault", "publish"), FAULTS, ids=str)
def test_a_repair_goes_on_wherever_it_died(
    fault: Fault, publish: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ALWAYS, **UNPROBED}.items():
        monkeypatch.setattr(name, value)
    store = Kept()
    shop = Shop.opened(tmp_path, monkeypatch, store)
    shop.run(publish=publish)
    fault.harm(shop)
    watched = Watched(store)
    mended = replace(shop, store=watched).verify(repair=True)  # type: ignore[arg-type]
    assert mended["result"] == "passed", mended["findings"]
    died = deaths(watched)
    assert len(died) > 5
    for death in died:
        where = f"{fault.name}: {death}"
        later = replace(shop, store=death.left.copy_of_all())
        go_on(later)
        assert later.table() == expected(), where
        assert later.verify()["result"] == "passed", where


def go_on(shop: Shop) -> None:
    """As an operator does who finds a run that stands still: resume it, repair what is left to repair."""
    with this_process(shop.store):
        run = shop.asked.newest_run()
        if run.status()["state"] not in ("published", "staged"):
            run = run.resume(engine="inline", take_over=True)
    if run.status()["state"] != "published" or shop.verify()["result"] == "failed":
        assert shop.verify(repair=True)["result"] == "passed"
        assert shop.resume().exit_code == 0
