"""The ledger: a unit's first receipt or split decides, and a run's states follow the table of edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.running.entries import (
    epoch_entry,
    failure_entry,
    receipt_entry,
    redo_entry,
    retry_failed_entry,
    set_aside_entry,
    split_entry,
    state_entry,
    verified_entry,
)
from raybackfill.control.running.ledger import TRANSITIONS, Ledger
from raybackfill.errors import OUT_OF_MEMORY, WORKER_LOST, IntegrityError, TransientError, UnitError
from raybackfill.model import Digest, PartitionProof, Receipt, Rows

STATES = {state for edge in TRANSITIONS for state in edge}
WRONG = UnitError("wrong")
LOST = TransientError("lost", fault=WORKER_LOST)


def receipt(unit: str, attempt: str, rows: int = 1) -> Receipt:
    return Receipt(unit, attempt, Rows(read=rows, out=rows), (), rows, rows, {"get": 1})


def split(unit: str, *parts: str) -> dict[str, Any]:
    return split_entry(unit, [{"unit": part, "pieces": []} for part in parts])


def applied(*entries: Mapping[str, Any]) -> Ledger:
    ledger = Ledger()
    for entry in entries:
        ledger.apply(entry)
    return ledger


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("123"), st.sampled_from(["good", "bad", "split"]))
    )
)
def test_only_the_first_decision_on_a_unit_counts(entries: list[tuple[str, str, str]]) -> None:
    ledger = Ledger()
    first: dict[str, str] = {}
    for unit, attempt, what in entries:
        if what == "bad":
            ledger.apply(failure_entry(unit, attempt, WRONG))
        else:
            first.setdefault(unit, attempt if what == "good" else "split")
            ledger.apply(receipt_entry(receipt(unit, attempt)) if what == "good" else split(unit, "x", "y"))
    assert ledger.decided == {unit: attempt for unit, attempt in first.items() if attempt != "split"}
    assert set(ledger.splits) == {unit for unit, attempt in first.items() if attempt == "split"}
    assert ledger.rows.read == ledger.bytes_read == ledger.requests.get("get", 0) == len(ledger.decided)
    assert ledger.attempts == sum(what != "split" for _, _, what in entries)
    assert not set(ledger.failed) & set(first)


def test_a_unit_that_failed_and_then_has_a_receipt_is_not_failed() -> None:
    ledger = applied(failure_entry("u", "1", LOST), failure_entry("u", "2", LOST))
    assert ledger.failed["u"].attempts == 2
    ledger.apply(receipt_entry(receipt("u", "3")))
    assert ledger.failed == {}


def test_a_unit_stands_for_its_parts_and_theirs_in_order() -> None:
    ledger = applied(split("u", "a", "b"), split("b", "c", "d"))
    assert list(ledger.leaves("u")) == ["a", "c", "d"]
    assert list(ledger.leaves("v")) == ["v"]


def test_a_worker_lost_twice_in_a_row_or_too_little_memory_asks_for_less() -> None:
    assert not applied(failure_entry("u", "1", LOST)).failed["u"].asks_for_less
    assert applied(failure_entry("u", "1", LOST), failure_entry("u", "2", LOST)).failed["u"].asks_for_less
    between = applied(*(failure_entry("u", n, e) for n, e in (("1", LOST), ("2", WRONG), ("3", LOST))))
    assert not between.failed["u"].asks_for_less
    starved = TransientError("no memory", fault=OUT_OF_MEMORY)
    assert applied(failure_entry("u", "1", starved)).failed["u"].asks_for_less


def test_a_unit_set_aside_is_tried_again_from_the_start_when_somebody_asks() -> None:
    ledger = applied(failure_entry("u", "1", WRONG), failure_entry("v", "2", WRONG), set_aside_entry("u"))
    assert set(ledger.set_aside) == {"u"}
    ledger.apply(retry_failed_entry())
    assert set(ledger.failed) == {"v"}


def test_a_driver_is_counted_once_however_often_its_writers_begin() -> None:
    begun = [("A", "w1", 1), ("A", "w2", 3), ("B", "w3", 4), ("B", "w4", 9)]
    ledger = applied(*(epoch_entry(at, driver=d, writer=w, host="h", at="t") for d, w, at in begun))
    assert (ledger.drivers, ledger.epoch, ledger.driver["driver"]) == (2, 9, "B")


def test_the_ledger_survives_its_document() -> None:
    ledger = applied(
        epoch_entry(1, driver="A", writer="w", host="h", at="t"),
        receipt_entry(receipt("a", "1", 5)),
        receipt_entry(proved("e", "3", 7)),
        redo_entry(receipt_entry(proved("e", "3", 7)), "damaged"),
        receipt_entry(proved("e", "4", 9)),
        split("b", "c", "d"),
        failure_entry("c", "2", LOST),
        set_aside_entry("c"),
        verified_entry({"result": "failed"}, {}),
        state_entry("stopped", reason="why", requests={"put": 3}),
    )
    assert Ledger.from_document(ledger.to_document(), dict(ledger.decided), dict(ledger.seals)) == ledger


@pytest.mark.parametrize("edge", sorted(TRANSITIONS))
def test_every_edge_has_a_sentence_and_can_be_taken(edge: tuple[str, str]) -> None:
    assert len(TRANSITIONS[edge].split()) > 3
    ledger = Ledger(state=edge[0])
    ledger.apply(state_entry(edge[1], reason="why"))
    assert (ledger.state, ledger.reason) == (edge[1], "why")


def test_every_other_move_is_refused() -> None:
    for source in STATES:
        for to in STATES:
            if (source, to) not in TRANSITIONS:
                with pytest.raises(IntegrityError, match="cannot be"):
                    Ledger(state=source).apply(state_entry(to))


def test_an_entry_of_a_later_version_is_refused() -> None:
    with pytest.raises(IntegrityError, match="unknown kind 'lease'"):
        Ledger().apply({"kind": "lease"})


def proved(unit: str, attempt: str, value: int) -> Receipt:
    partitions = (PartitionProof("k=a", value, Digest(value)),)
    return Receipt(
        unit, attempt, Rows(read=value, out=value), (), value, value, {"get": 1}, partitions=partitions
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.sampled_from(["receipt", "redo"]))))
def test_what_is_taken_back_counts_never_more_and_leaves_no_trace_in_the_sums(
    entries: list[tuple[str, int, str]],
) -> None:
    ledger = Ledger()
    decided: dict[str, int] = {}
    rejected: set[tuple[str, int]] = set()
    for unit, attempt, kind in entries:
        entry = receipt_entry(proved(unit, f"{unit}{attempt}", attempt))
        if kind == "receipt":
            ledger.apply(entry)
            if unit not in decided and (unit, attempt) not in rejected:
                decided[unit] = attempt
        else:
            ledger.apply(redo_entry(entry, "damaged"))
            if decided.get(unit) == attempt:
                rejected.add((unit, decided.pop(unit)))
    assert ledger.decided == {unit: f"{unit}{attempt}" for unit, attempt in decided.items()}
    assert ledger.seals.keys() == decided.keys()
    assert ledger.rejected.keys() == {f"{unit}{attempt}" for unit, attempt in rejected}
    assert ledger.digest == Digest(sum(decided.values()))
    assert ledger.rows.read == ledger.bytes_read == ledger.bytes_staged == sum(decided.values())


def test_a_verification_is_known_until_something_else_is_staged() -> None:
    found = verified_entry({"result": "passed"}, {"get": 3})
    ledger = applied(receipt_entry(receipt("u", "1")), found)
    assert (ledger.verified, ledger.requests["get"]) == ({"result": "passed"}, 4)
    ledger.apply(receipt_entry(receipt("v", "2")))
    assert ledger.verified == {}
