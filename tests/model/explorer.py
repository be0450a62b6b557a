"""Visits every state that a model can come to, the nearest first, so that a trace is as short as can be."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

State = TypeVar("State", bound=Hashable)


class Model(Protocol[State]):
    """`bounds` says in words how far the model goes."""

    bounds: str

    def start(self) -> State: ...

    def steps(self, state: State) -> Iterable[tuple[str, State]]:
        """All that may happen next, each in words."""

    def broken(self, state: State) -> str:
        """The promise that is broken in this state, in words; "" where none is."""

    def goals(self, state: State) -> Iterable[str]:
        """What this state shows to have been reached, so that nobody takes an idle model for a safe one."""


@dataclass
class Explored:
    states: int = 0
    transitions: int = 0
    depth: int = 0
    broken: str = ""
    trace: list[str] = field(default_factory=list)
    goals: set[str] = field(default_factory=set)


class Explorer(Generic[State]):
    def __init__(self, model: Model[State]) -> None:
        self._model = model
        self._came: dict[State, tuple[State, str] | None] = {}

    def explore(self, states_max: int = 3_000_000) -> Explored:
        """Ends at the first broken promise, or when all has been seen."""
        found = Explored()
        first = self._model.start()
        self._came[first] = None
        waiting: deque[tuple[State, int]] = deque([(first, 0)])
        while waiting:
            state, depth = waiting.popleft()
            found.states += 1
            found.depth = max(found.depth, depth)
            found.goals.update(self._model.goals(state))
            found.broken = self._model.broken(state)
            if found.broken:
                found.trace = self._trace(state)
                return found
            if found.states > states_max:
                raise AssertionError(f"more than {states_max:,} states: the bounds are too wide")
            for words, following in self._model.steps(state):
                found.transitions += 1
                if following not in self._came:
                    self._came[following] = (state, words)
                    waiting.append((following, depth + 1))
        return found

    def _trace(self, state: State) -> list[str]:
        words: list[str] = []
        before = self._came[state]
        while before is not None:
            state, said = before
            words.append(said)
            before = self._came[state]
        return words[::-1]
