"""The ledger: the first receipt of a unit decides, and a run's states follow the table of edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.running.ledger import (
    TRANSITIONS,
    Ledger,
    failure_entry,
    receipt_entry,
    state_entry,
)
from raybackfill.errors import IntegrityError
from raybackfill.model import Receipt, Rows

STATES = {state for edge in TRANSITIONS for state in edge}


def receipt(unit: str, attempt: str, rows: int = 1) -> Receipt:
    return Receipt(unit, attempt, Rows(read=rows, out=rows), (), rows, rows, {"get": 1})


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123"), st.booleans())))
def test_only_the_first_receipt_of_a_unit_counts(entries: list[tuple[str, str, bool]]) -> None:
    ledger = Ledger()
    first: dict[str, str] = {}
    for unit, attempt, good in entries:
        if good:
            first.setdefault(unit, attempt)
            ledger.apply(receipt_entry(receipt(unit, attempt)))
        else:
            ledger.apply(failure_entry(unit, attempt, "UnitError", "wrong"))
    assert {unit: decision.attempt for unit, decision in ledger.decided.items()} == first
    assert ledger.rows.read == ledger.bytes_read == ledger.requests.get("get", 0) == len(first)
    assert ledger.attempts == len(entries)
    assert not set(ledger.failed) & set(first)


def test_a_unit_that_failed_and_then_has_a_receipt_is_not_failed() -> None:
    ledger = Ledger()
    ledger.apply(failure_entry("u", "1", "TransientError", "lost"))
    ledger.apply(failure_entry("u", "2", "TransientError", "lost"))
    assert ledger.failed["u"].attempts == 2
    ledger.apply(receipt_entry(receipt("u", "3")))
    assert ledger.failed == {}


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
