"""Decisions on units: a receipt against a split, and cleaning against attempts that sleep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

SPLITTING_RULES = {"split_leaves_its_parent_open": "a split leaves its parent open to a late receipt"}
CLEANING_RULES = {"cleans_by_age": "what no entry refers to is removed once it is old"}


class Halves(NamedTuple):
    """Attempts at a unit and at its two halves: "none", "working", or "handed in"; entries in order."""

    attempts: tuple[str, str, str] = ("working", "none", "none")
    journal: tuple[str, ...] = ()


class Splitting:
    """A unit whose attempt is taken for lost and comes all the same, before, while or after it is split."""

    bounds = "one unit, divided once into two, one attempt each"

    def __init__(self, rule: str = "") -> None:
        self._rule = rule

    def start(self) -> Halves:
        return Halves()

    def steps(self, state: Halves) -> Iterator[tuple[str, Halves]]:
        whole = state.attempts[0]
        if "split" not in state.journal:
            journal = (*state.journal, "split")
            yield "the unit is divided", Halves((whole, "working", "working"), journal)
        for place, name in enumerate(("whole", "one", "two")):
            if state.attempts[place] == "working":
                attempts = list(state.attempts)
                attempts[place] = "handed in"
                after = Halves((attempts[0], attempts[1], attempts[2]), (*state.journal, name))
                yield f"the receipt of {name} is recorded", after

    def rows(self, state: Halves) -> list[str]:
        """The halves of the unit's rows that the table gets, by the decisions in journal order."""
        decided: dict[str, str] = {}
        for entry in state.journal:
            unit = "whole" if entry == "split" else entry
            open_still = self._rule == "split_leaves_its_parent_open" and decided.get(unit) == "split"
            if unit not in decided or (open_still and entry == "whole"):
                decided[unit + "'" if open_still else unit] = entry
        rows = [half for half in ("one", "two") if half in decided and decided.get("whole") == "split"]
        taken_whole = decided.get("whole") == "whole" or "whole'" in decided
        return rows + (["one", "two"] if taken_whole else [])

    def broken(self, state: Halves) -> str:
        rows = self.rows(state)
        return "a unit has one decision, and its rows are there once" if len(rows) > len(set(rows)) else ""

    def goals(self, state: Halves) -> Iterable[str]:
        if state.journal[:1] == ("whole",):
            yield "the receipt came before the split"
        if "split" in state.journal and state.attempts == ("handed in",) * 3:
            yield "everything was handed in"


class Litter(NamedTuple):
    """Two attempts at one unit: "asleep" after it wrote its file, then "handed in"; what lies there; what
    the cleaner has listed and not yet dealt with; the unit's decision."""

    attempts: tuple[str, str] = ("none", "none")
    files: frozenset[int] = frozenset()
    listed: frozenset[int] | None = None
    to_remove: frozenset[int] = frozenset()
    decision: int | None = None


class Cleaning:
    """Removing what attempts left while the run is open: files are listed first, the journal is read
    second, and only losers of decided units go."""

    bounds = "one unit, two attempts, a cleaner that may come again and again"

    def __init__(self, rule: str = "") -> None:
        self._rule = rule

    def start(self) -> Litter:
        return Litter()

    def steps(self, state: Litter) -> Iterator[tuple[str, Litter]]:
        for number, doing in enumerate(state.attempts):
            if doing == "none":
                yield (
                    f"attempt {number} writes its file and falls asleep",
                    state._replace(
                        attempts=_changed(state.attempts, number, "asleep"), files=state.files | {number}
                    ),
                )
            if doing == "asleep":
                decision = number if state.decision is None else state.decision
                yield (
                    f"attempt {number} wakes up and hands in its receipt",
                    state._replace(attempts=_changed(state.attempts, number, "handed in"), decision=decision),
                )
        if state.listed is None:
            yield "the cleaner lists the files", state._replace(listed=state.files)
        else:
            yield (
                "the cleaner reads the journal",
                state._replace(
                    listed=None, to_remove=frozenset(n for n in state.listed if self._goes(state, n))
                ),
            )
        if state.to_remove:
            yield (
                "the cleaner removes them",
                state._replace(files=state.files - state.to_remove, to_remove=frozenset()),
            )

    def _goes(self, state: Litter, number: int) -> bool:
        if self._rule == "cleans_by_age":
            return state.decision != number
        return state.decision is not None and state.decision != number

    def broken(self, state: Litter) -> str:
        lost = state.decision is not None and state.decision not in state.files
        return "the files of a unit's decision are never removed" if lost else ""

    def goals(self, state: Litter) -> Iterable[str]:
        if state.attempts == ("handed in", "handed in") and len(state.files) == 1:
            yield "the loser's file was removed"


def _changed(attempts: tuple[str, str], number: int, doing: str) -> tuple[str, str]:
    return (doing, attempts[1]) if number == 0 else (attempts[0], doing)
