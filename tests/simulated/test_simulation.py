"""The simulation holds for the code as it is, replays exactly, and notices rules that are broken."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from raybackfill.checkpoint.journal import Batch, Journal, JournalWriter, Landed
from raybackfill.control.running.entries import epoch_entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.flow import publish
from raybackfill.table import Table
from raybackfill.table.view import Left, View
from tests.simulated.story import Story, stories

SEEDS = 60
SEEDS_TO_NOTICE = 400
WHAT_MUST_HAPPEN = {
    *(
        "crash",
        "freeze",
        "wake",
        "before",
        "after",
        "own",
        "delayed",
        "late",
        "doubled",
        "straggler",
        "actor",
    ),
    *("worker_lost", "out_of_memory", "FencedError", "entry split", "entry set_aside", "entry retry_failed"),
    *("started again", "started part", "started backup", "taken back"),
}


def test_nothing_is_lost_or_doubled_and_all_that_can_happen_does() -> None:
    happened: Counter[str] = Counter()
    for seed, story in stories(0, SEEDS):
        try:
            story.tell()
        except BaseException as error:
            raise AssertionError(f"seed {seed}: python -m tests.simulated --seed {seed} --trace") from error
        happened += story.world.happened
    assert WHAT_MUST_HAPPEN - set(happened) == set()
    assert happened["crash"] > SEEDS / 2


def test_a_seed_replays_exactly() -> None:
    def trace() -> list[str]:
        story = Story(8, runs=2)
        story.tell()
        return story.world.trace

    assert trace() == trace()
    assert len(trace()) > 20


def a_second_receipt_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "has_decided", lambda ledger, unit: unit in ledger.splits)


def only_the_driver_is_compared(patch: pytest.MonkeyPatch) -> None:
    def create(journal: Journal, content: Any) -> bool:
        key = journal._paths.journal_entry(content["sequence"])
        data = json.dumps(content, separators=(",", ":")).encode()
        if journal._store.put(key, data, create=True) is None:
            there = json.loads(journal._store.read(key).to_pybytes())
            if there["driver"] != content["driver"]:
                return False
        journal.heads.advance(content)
        return True

    patch.setattr(Journal, "create", create)


def it_is_acknowledged_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    append = JournalWriter.append
    last: dict[int, Batch] = {}

    def from_memory(writer: JournalWriter, batch: Batch) -> Landed:
        before = last.pop(id(writer), None)
        if before is not None:
            append(writer, before)
        if not writer._has_begun or batch.number == 1:
            return append(writer, batch)
        last[id(writer)] = batch
        return Landed(writer._journal.heads.next, writer._journal.heads.epoch)

    patch.setattr(JournalWriter, "append", from_memory)


def a_restarted_writer_takes_the_run_back(patch: pytest.MonkeyPatch) -> None:
    def begin(writer: JournalWriter, at: str) -> None:
        journal = writer._journal
        while True:
            journal.follow()
            number = journal.heads.next
            entry = epoch_entry(number, driver=writer._driver, writer=writer._writer, host="h", at=at)
            content = writer._content(0, at, [entry])
            if journal.create(content):
                break
        writer._has_begun = True
        journal.seen(content)

    patch.setattr(JournalWriter, "begin", begin)


def a_batch_sent_again_is_written_again(patch: pytest.MonkeyPatch) -> None:
    def append(writer: JournalWriter, batch: Batch) -> Landed:
        if not writer._has_begun:
            writer.begin(batch.at)
        content = writer._content(batch.number, batch.at, batch.entries)
        if not writer._journal.create(content):
            raise writer._fenced()
        return Landed(content["sequence"], writer._journal.heads.epoch)

    patch.setattr(JournalWriter, "append", append)


def what_is_replaced_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "_keep", lambda *_: True)


def nobody_finishes_what_others_left(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publish, "repair_view", lambda *_, **__: Left())


def a_version_is_put_over_another(patch: pytest.MonkeyPatch) -> None:
    def commit(table: Table, version: Any) -> bool:
        data = json.dumps(version.to_json(), separators=(",", ":")).encode()
        return table.store.put(table.paths.version(version.number), data) is not None

    patch.setattr(Table, "commit", commit)


def the_runs_own_version_is_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Table, "version_of", lambda table, run_id, above: None)


@pytest.mark.parametrize(
    "breaks",
    [
        a_second_receipt_counts,
        only_the_driver_is_compared,
        it_is_acknowledged_before_it_is_durable,
        a_restarted_writer_takes_the_run_back,
        a_batch_sent_again_is_written_again,
        what_is_replaced_is_not_kept,
        nobody_finishes_what_others_left,
        a_version_is_put_over_another,
        the_runs_own_version_is_not_looked_for,
    ],
    ids=lambda breaks: breaks.__name__,
)
def test_a_broken_rule_is_noticed(
    breaks: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    for _, story in stories(0, SEEDS_TO_NOTICE):
        try:
            story.tell()
        except BaseException:
            return
    raise AssertionError(f"{SEEDS_TO_NOTICE} seeds went by and nothing was noticed")
