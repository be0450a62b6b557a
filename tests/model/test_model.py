"""The protocol holds in every interleaving up to the bounds, and each wrong rule is found out."""

from __future__ import annotations

import pytest

from tests.model.models import Case, right, wrong

GOALS = {
    "journal": {
        "both drivers ended, one after the other",
        "a driver was fenced",
        "a driver ended in spite of all faults",
        "an actor started again, and its driver ended",
        "a driver died, and the other ended",
    },
    "splitting": {"the receipt came before the split", "everything was handed in"},
    "redoing": {"a damaged unit was worked on again", "a receipt came for what was taken back"},
    "replanning": {
        "a driver died while it planned again, and another went on",
        "what nothing happened to was kept",
    },
    "cleaning": {"the loser's file was removed"},
    "publishing": {
        "all ended",
        "all came to rest after a crash",
        "a sleeper found itself overtaken",
        "the paths showed the newest version",
    },
    "publishing, repaired": {"all came to rest after a crash", "the paths showed the newest version"},
    "appending": {"both ended in spite of a crash"},
}
"""What must have been reached: a model in which nothing happens holds as well."""


@pytest.mark.parametrize("case", right(quick=True), ids=lambda case: case.name)
def test_the_protocol_holds(case: Case) -> None:
    found = case.explore()
    assert found.broken == "", "\n".join(found.trace)
    assert GOALS[case.name] <= found.goals


@pytest.mark.parametrize("case", wrong(), ids=lambda case: case.name)
def test_a_wrong_rule_is_found_out(case: Case) -> None:
    found = case.explore()
    assert found.broken
    assert len(found.trace) >= 3
    assert all(" " in words for words in found.trace)
