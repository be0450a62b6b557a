"""Appending: files that are added to a table, by a run that is cut off and repeated, beside another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

RULES = {"names_by_the_next_free_number": "an appended file is named by the next free number"}


class Appender(NamedTuple):
    status: str = "looking"
    name: str = ""


class State(NamedTuple):
    files: frozenset[tuple[str, str]] = frozenset()
    appenders: tuple[Appender, Appender] = (Appender(), Appender())
    crashes: int = 0


RUNS = ("first", "second")


class Appending:
    """Two runs append one file each; each may die before or after its file is there, and is repeated."""

    bounds = "two runs, a file each, two crashes"

    def __init__(self, rule: str = "") -> None:
        self._rule = rule

    def start(self) -> State:
        return State()

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        for place, appender in enumerate(state.appenders):
            run = RUNS[place]
            if appender.status == "looking":
                name = f"part-{len(state.files)}" if self._rule else f"{run}-unit-0"
                yield (
                    f"the {run} run will name its file {name}",
                    _with(state, place, Appender("naming", name)),
                )
            if appender.status == "naming":
                yield self._creates(state, place, run, appender)
            if appender.status in ("naming", "made") and state.crashes < 2:
                died = state._replace(crashes=state.crashes + 1)
                yield f"the {run} run dies, and is repeated", _with(died, place, Appender())
            if appender.status == "made":
                yield f"the {run} run ends", _with(state, place, Appender("done"))

    def _creates(self, state: State, place: int, run: str, appender: Appender) -> tuple[str, State]:
        taken = [owner for name, owner in state.files if name == appender.name]
        if taken and taken[0] != run:
            return f"{appender.name} is taken: the {run} run looks again", _with(state, place, Appender())
        made = state._replace(files=state.files | {(appender.name, run)})
        return f"the {run} run makes {appender.name}", _with(made, place, Appender("made", appender.name))

    def broken(self, state: State) -> str:
        owners = [owner for _, owner in state.files]
        return "a run's rows are appended once" if len(owners) > len(set(owners)) else ""

    def goals(self, state: State) -> Iterable[str]:
        if all(each.status == "done" for each in state.appenders) and state.crashes:
            yield "both ended in spite of a crash"


def _with(state: State, place: int, appender: Appender) -> State:
    both = (appender, state.appenders[1]) if place == 0 else (state.appenders[0], appender)
    return state._replace(appenders=both)
