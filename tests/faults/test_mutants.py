"""The checks of this folder can fail: with a rule of the package broken, they do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raybackfill import driver, runs
from raybackfill.checkpoint.journal import Content, Journal
from raybackfill.control.running import schedule
from raybackfill.control.running.ledger import Ledger
from raybackfill.flow.publish import Publication
from raybackfill.model import Rows, Unit, Version
from raybackfill.paths import RunPaths, join
from raybackfill.table import Table
from tests.faults.checks import check_every_death
from tests.faults.crashes import Scene, set_scene
from tests.faults.shapes import shape
from tests.faults.test_two_drivers import check_every_sleep

Patch = pytest.MonkeyPatch


def keeps_nothing(patch: Patch) -> None:
    patch.setattr(Table, "_keep", lambda *_: None)


def does_all_units_again(patch: Patch) -> None:
    """A run that goes on forgets what is decided. Harmless by itself: second receipts do not count."""

    def all_of(unit: Unit, ledger: Ledger) -> Iterator[Unit]:
        yield unit

    patch.setattr(schedule, "undecided", all_of)


def counts_second_receipts(patch: Patch) -> None:
    does_all_units_again(patch)
    once = Ledger._receipt

    def each(ledger: Ledger, entry: Mapping[str, Any]) -> None:
        if entry["unit"] in ledger.decided:
            ledger.rows += Rows.from_json(entry["rows"])
        once(ledger, entry)

    patch.setattr(Ledger, "_receipt", each)


def takes_the_last_receipt(patch: Patch) -> None:
    does_all_units_again(patch)
    once = Ledger._receipt

    def last(ledger: Ledger, entry: Mapping[str, Any]) -> None:
        once(ledger, entry)
        ledger.decided[entry["unit"]] = entry["attempt"]

    patch.setattr(Ledger, "_receipt", last)


def forgets_its_version(patch: Patch) -> None:
    patch.setattr(Table, "version_of", lambda *_: None)


def publishes_only_what_was_left(patch: Patch) -> None:
    """Of a run that goes on, what this driver did itself."""
    carry_out = runs.carry_out

    def of_the_rest(job: driver.Job, *args: Any, **options: Any) -> Any:
        before = set(job.ledger.decided)

        def publication(ledger: Ledger) -> Publication:
            whole = job.publication(ledger)
            return replace(whole, units={u: a for u, a in whole.units.items() if u not in before})

        return carry_out(replace(job, publication=publication), *args, **options)

    patch.setattr(runs, "carry_out", of_the_rest)


def makes_versions_over_others(patch: Patch) -> None:
    def commit(table: Table, version: Version) -> bool:
        table._store.put(table._paths.version(version.number), json.dumps(version.to_json()).encode())
        return True

    patch.setattr(Table, "commit", commit)


def writes_entries_over_others(patch: Patch) -> None:
    def create(journal: Journal, content: Content) -> bool:
        key = journal._paths.journal_entry(content["sequence"])
        journal._store.put(key, json.dumps(content).encode())
        journal.heads.advance(content)
        return True

    patch.setattr(Journal, "create", create)


def shares_keys_between_attempts(patch: Patch) -> None:
    patch.setattr(RunPaths, "attempt", lambda paths, unit, attempt: join(paths.staged, unit, "attempt"))


def goes_on_with_finished_runs(patch: Patch) -> None:
    patch.setattr(driver, "FINAL", frozenset())
    patch.setattr(Ledger, "check_move", lambda *_: None)


BY_DEATHS = (
    keeps_nothing,
    counts_second_receipts,
    takes_the_last_receipt,
    forgets_its_version,
    publishes_only_what_was_left,
)
# Where the first driver must sleep to do its harm: the others are left out, to be quick.
BY_SLEEPS = {
    makes_versions_over_others: "/versions/",
    writes_entries_over_others: "/journal/",
    shares_keys_between_attempts: "/staged/",
    goes_on_with_finished_runs: "/probe/",
}


def scene_of(mutant: Callable[[Patch], None], patch: Patch, project: Path) -> Scene:
    mutant(patch)
    return set_scene(shape("small"), patch, project)


@pytest.mark.parametrize("mutant", BY_DEATHS)
def test_a_rule_that_is_broken_shows_after_some_death(
    mutant: Callable[[Patch], None], monkeypatch: Patch, tmp_path: Path
) -> None:
    scene = scene_of(mutant, monkeypatch, tmp_path)
    with pytest.raises(AssertionError):
        check_every_death(scene)


@pytest.mark.parametrize(("mutant", "about"), BY_SLEEPS.items())
def test_a_rule_that_is_broken_shows_after_some_sleep(
    mutant: Callable[[Patch], None], about: str, monkeypatch: Patch, tmp_path: Path
) -> None:
    scene = scene_of(mutant, monkeypatch, tmp_path)
    with pytest.raises(AssertionError):
        check_every_sleep(scene, about)


def test_work_that_is_done_again_changes_nothing(monkeypatch: Patch, tmp_path: Path) -> None:
    check_every_death(scene_of(does_all_units_again, monkeypatch, tmp_path))
