"""Taking a decision back: what was staged is found damaged, and the unit is worked on again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

RULES = {
    "rejected_may_return": "a late receipt of an attempt that was taken back counts again",
    "redo_names_no_attempt": "a redo takes back whatever is decided, not the attempt that was found damaged",
}
ATTEMPTS = 3
TIMES = 2
"""So often a receipt or a redo of one attempt may come: a reply was lost, or two looked at it."""


class Work(NamedTuple):
    """Which attempts work or have worked, which files are damaged, which were seen to be while they counted,
    and the journal: ("receipt", attempt) or ("redo", attempt)."""

    started: int = 2
    damaged: frozenset[int] = frozenset()
    seen: frozenset[int] = frozenset()
    journal: tuple[tuple[str, int], ...] = ()


class Redoing:
    bounds = "one unit, three attempts (two side by side), each receipt and each redo up to twice"

    def __init__(self, rule: str = "") -> None:
        self._rule = rule

    def start(self) -> Work:
        return Work()

    def steps(self, state: Work) -> Iterator[tuple[str, Work]]:
        decided, _ = self._replayed(state)
        for attempt in range(state.started):
            if state.journal.count(("receipt", attempt)) < TIMES:
                entry = ("receipt", attempt)
                yield (
                    f"the receipt of attempt {attempt} is recorded",
                    state._replace(journal=(*state.journal, entry)),
                )
        if decided is not None and decided not in state.damaged:
            yield (
                f"the file of attempt {decided} is damaged",
                state._replace(damaged=state.damaged | {decided}),
            )
        if decided is not None and decided in state.damaged - state.seen:
            yield f"attempt {decided} is found damaged", state._replace(seen=state.seen | {decided})
        for attempt in state.seen:
            if state.journal.count(("redo", attempt)) < TIMES:
                entry = ("redo", attempt)
                yield (
                    f"attempt {attempt} is to be done again",
                    state._replace(journal=(*state.journal, entry)),
                )
        if decided is None and state.started < ATTEMPTS and ("redo", 0) in state.journal:
            yield f"attempt {state.started} is started", state._replace(started=state.started + 1)

    def _replayed(self, state: Work) -> tuple[int | None, frozenset[int]]:
        """The attempt that counts, and those that were taken back."""
        decided: int | None = None
        rejected: frozenset[int] = frozenset()
        for kind, attempt in state.journal:
            if kind == "receipt":
                is_open = decided is None and (attempt not in rejected or self._rule == "rejected_may_return")
                decided = attempt if is_open else decided
            elif decided is not None and (decided == attempt or self._rule == "redo_names_no_attempt"):
                rejected, decided = rejected | {decided}, None
        return decided, rejected

    def broken(self, state: Work) -> str:
        decided, rejected = self._replayed(state)
        if decided in rejected:
            return "an attempt that was taken back never counts again"
        return "only what was found damaged is taken back" if rejected - state.seen else ""

    def goals(self, state: Work) -> Iterable[str]:
        decided, rejected = self._replayed(state)
        if rejected and decided is not None:
            yield "a damaged unit was worked on again"
        if any(state.journal[-1:] == (("receipt", attempt),) for attempt in rejected):
            yield "a receipt came for what was taken back"
