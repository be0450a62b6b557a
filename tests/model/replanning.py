"""Planning again what changed: what the run counts is always of the plan that is in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

RULES = {
    "reads_before_its_epoch": "what is taken back is found before the new driver has fenced the old one",
    "takes_back_apart": "the new plan and what it takes back are two objects of the journal",
}
OLD_UNITS, NEW_UNITS = ("changed", "kept"), ("kept", "new")
CRASHES = 1


class Run(NamedTuple):
    """`waiting`: receipts that the old driver has yet to record; `fenced`: whether it still can; `doing`: how
    far the new driver is, and what it saw decided; the journal's decisions and whether the plan is the new."""

    waiting: frozenset[str] = frozenset(OLD_UNITS)
    fenced: bool = False
    doing: str = "starts"
    seen: frozenset[str] = frozenset()
    decided: frozenset[str] = frozenset()
    replanned: bool = False
    crashes: int = 0


class Replanning:
    bounds = "two units of the old plan, one of which is of the new, an old driver that goes on, one crash"

    def __init__(self, rule: str = "") -> None:
        self._rule = rule

    def start(self) -> Run:
        return Run()

    def steps(self, state: Run) -> Iterator[tuple[str, Run]]:
        for unit in sorted(state.waiting):
            if not state.fenced:
                after = state._replace(waiting=state.waiting - {unit}, decided=state.decided | {unit})
                yield f"the old driver records the receipt of {unit}", after
        yield from self._of_new_driver(state)
        if state.doing not in ("starts", "done") and state.crashes < CRASHES:
            crashed = state._replace(doing="starts", seen=frozenset(), crashes=state.crashes + 1)
            yield "the new driver dies, and another begins", crashed

    def _of_new_driver(self, state: Run) -> Iterator[tuple[str, Run]]:
        early = self._rule == "reads_before_its_epoch"
        if state.doing == "starts":
            looked = state._replace(doing="looked", seen=state.decided)
            fenced = state._replace(doing="begun", fenced=True)
            yield ("the new driver reads the journal", looked) if early else ("it fences the old one", fenced)
        elif state.doing == "looked":
            yield "it fences the old one", state._replace(doing="knows", fenced=True)
        elif state.doing == "begun":
            yield "it reads the journal", state._replace(doing="knows", seen=state.decided)
        elif state.doing == "knows" and state.replanned:
            yield "nothing changed since the new plan", state._replace(doing="works")
        elif state.doing == "knows" and self._rule == "takes_back_apart":
            yield "it names the new plan", state._replace(doing="takes back", replanned=True)
        elif state.doing == "knows":
            yield "it names the new plan, and takes back", self._without(state._replace(replanned=True))
        elif state.doing == "takes back":
            yield "it takes back", self._without(state)
        elif state.doing == "works":
            yield (
                "it works on what is left",
                state._replace(doing="done", decided=state.decided | {*NEW_UNITS}),
            )

    def _without(self, state: Run) -> Run:
        gone = {unit for unit in state.seen if unit not in NEW_UNITS}
        return state._replace(doing="works", decided=state.decided - gone)

    def broken(self, state: Run) -> str:
        strangers = state.doing == "done" and state.decided - set(NEW_UNITS)
        return "what is counted is of the plan in force" if strangers else ""

    def goals(self, state: Run) -> Iterable[str]:
        if state.doing == "done" and state.crashes and state.replanned:
            yield "a driver died while it planned again, and another went on"
        if state.doing == "works" and "kept" in state.decided:
            yield "what nothing happened to was kept"
