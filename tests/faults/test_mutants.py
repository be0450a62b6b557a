"""The checks of this folder can fail: with a rule of the package broken, they do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raybackfill import driver, runs
from raybackfill.checkpoint import journal as journals
from raybackfill.checkpoint.journal import Journal
from raybackfill.control.proving.slots import Content, Slot, Step
from raybackfill.control.running import schedule
from raybackfill.control.running.ledger import Ledger
from raybackfill.flow import rollback
from raybackfill.flow.publish import Publication
from raybackfill.model import Rows, TableFile, Unit, Version
from raybackfill.paths import RunPaths, join
from raybackfill.storage import ObjectInfo
from raybackfill.table import Table
from raybackfill.table import view as view_module
from raybackfill.table.view import Left, View
from tests.faults import sleepers
from tests.faults.checks import check_every_death
from tests.faults.crashes import Scene, set_scene
from tests.faults.publishes import NEWER, SLEEPING
from tests.faults.shapes import shape
from tests.faults.test_two_drivers import check_every_sleep

Patch = pytest.MonkeyPatch


def keeps_nothing(patch: Patch) -> None:
    patch.setattr(View, "_keep", lambda *_: True)


def keeps_again_what_lies_there(patch: Patch) -> None:
    """A publish that is repeated takes its backup once more."""
    once = View.bring

    def bring(view: View, listing: Any = None) -> Left:
        for file in view._version.retired:
            path = view._table.paths.file(file.path)
            if not file.is_empty and view._table.store.head(path):
                view._table.store.copy(path, view._run.previous(view._version.number, file.path))
        return once(view, listing)

    patch.setattr(View, "bring", bring)


def replaces_whatever_lies_there(patch: Patch) -> None:
    """What was looked at before may be something else by then."""

    def act(view: View, slot: Slot, there: Content | None) -> bool:
        assert slot.wanted is not None
        view._table.store.copy(slot.wanted.staged, view._table.paths.file(slot.path))
        return True

    patch.setattr(View, "_act", act)


def retires_what_is_listed(patch: Patch) -> None:
    """What the version retires is what lies at the path now, instead of what it pinned."""
    once = view_module.next_step

    def step(slot: Slot, there: Content | None) -> Step:
        before = None if there is None else TableFile(slot.path, there.size, there.tag)
        return once(replace(slot, before=before), there)

    patch.setattr(view_module, "next_step", step)


def deletes_what_is_surplus(patch: Patch) -> None:
    """A path that is left without rows is removed, so that a sleeper finds it as it was before."""
    once = View._act

    def act(view: View, slot: Slot, there: Content | None) -> bool:
        if slot.wanted is not None and slot.wanted.is_empty and there is not None:
            return view._table.store.delete(view._table.paths.file(slot.path), tag=there.tag)
        return once(view, slot, there)

    patch.setattr(View, "_act", act)


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
        table.store.put(table.paths.version(version.number), json.dumps(version.to_json()).encode())
        return True

    patch.setattr(Table, "commit", commit)


def writes_entries_over_others(patch: Patch) -> None:
    def create(journal: Journal, content: journals.Content) -> bool:
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
    keeps_again_what_lies_there,
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


def brings_the_same_bytes_back(patch: Patch) -> None:
    """A rollback puts the old file there again as it was, under its old tag."""

    def copied(store: Any, source: ObjectInfo, key: str, stamp: str) -> Any:
        return store.copy(source.key, key)

    patch.setattr(rollback, "_stamped_copy", copied)


BY_SLEEPS_UNDER_A_NEWER_RUN = (replaces_whatever_lies_there, retires_what_is_listed, deletes_what_is_surplus)


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


@pytest.mark.parametrize("mutant", BY_SLEEPS_UNDER_A_NEWER_RUN)
def test_a_rule_that_is_broken_shows_when_a_newer_run_publishes(
    mutant: Callable[[Patch], None], monkeypatch: Patch, tmp_path: Path
) -> None:
    mutant(monkeypatch)
    scene, newer = (set_scene(each, monkeypatch, tmp_path) for each in (SLEEPING, NEWER))
    with pytest.raises(AssertionError, match="slept before"):
        sleepers.check_every_sleep(scene, sleepers.published_over(newer))


def test_a_rollback_that_brings_the_same_bytes_back_revives_a_sleeper(
    monkeypatch: Patch, tmp_path: Path
) -> None:
    brings_the_same_bytes_back(monkeypatch)
    scene = set_scene(SLEEPING, monkeypatch, tmp_path)
    with pytest.raises(AssertionError, match="slept before"):
        sleepers.check_every_sleep(scene, sleepers.taken_back(scene))


def test_work_that_is_done_again_changes_nothing(monkeypatch: Patch, tmp_path: Path) -> None:
    check_every_death(scene_of(does_all_units_again, monkeypatch, tmp_path))
