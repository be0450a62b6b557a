"""Holds time, chance and the order of things: one driver acts at a time, chosen by the seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

from raybackfill.clock import Clock

STEPS_MAX = 20_000


class Killed(BaseException):
    """A driver's process ended: nothing of ours catches it."""


@dataclass(frozen=True)
class Chances:
    """How often things go wrong, a step. All are zero when a run is brought to its end."""

    store: float = 0.02
    crash: float = 0.004
    freeze: float = 0.004
    switch: float = 0.15
    actor_dies: float = 0.05
    unit: float = 0.2


CALM = Chances(0, 0, 0, 0.15, 0, 0)


@dataclass
class Actor:
    """A driver's process: it acts while it has the baton, and may be frozen for a while."""

    name: str
    act: Callable[[Actor], None]
    go: Event = field(default_factory=Event)
    ended: bool = False
    frozen: bool = False
    doomed: bool = False


class World:
    """`trace` keeps what happened in words; `happened` how often each kind of thing did."""

    def __init__(self, seed: int, chances: Chances) -> None:
        self.random = random.Random(seed)
        self.chances = chances
        self.now = 0.0
        self.trace: list[str] = []
        self.happened: Counter[str] = Counter()
        self.late: list[tuple[str, Callable[[], object]]] = []
        self._ids = 0
        self._steps = 0
        self._actors: list[Actor] = []
        self._done = Event()

    def note(self, what: str, text: str) -> None:
        self.happened[what] += 1
        self.trace.append(f"{self.now:8.1f}  {text}")

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def new_id(self) -> str:
        self._ids += 1
        return f"{self._ids:04d}"

    def clock(self, actor: Actor) -> Clock:
        def seconds() -> float:
            return self.now

        def sleep(duration: float) -> None:
            self.now += duration
            self.step(actor, "sleeps")

        return Clock(lambda: f"t{self.now:.3f}", self.new_id, seconds, sleep)

    def run(self, *actors: Actor) -> None:
        """Let the actors act, in turns, until each has ended."""
        self._actors = list(actors)
        self._done.clear()
        for actor in actors:
            Thread(target=self._live, args=(actor,), daemon=True).start()
        self._next().go.set()
        self._done.wait()

    def step(self, actor: Actor, doing: str) -> None:
        """Called before each thing that an actor does to the world: here it may die, freeze, or wait
        while others act."""
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise AssertionError("the run does not come to an end")
        if actor.doomed:
            raise Killed
        if self.late and self.chance(0.1):
            self.land()
        if self.chance(self.chances.crash):
            actor.doomed = True
            self.note("crash", f"{actor.name} dies as it {doing}")
            raise Killed
        others = [each for each in self._actors if each is not actor and not each.ended]
        if others and self.chance(self.chances.freeze):
            actor.frozen = True
            self.note("freeze", f"{actor.name} freezes as it {doing}")
        if actor.frozen or (others and self.chance(self.chances.switch)):
            self._hand_over(actor)

    def land(self) -> None:
        """A write that was late comes to the store."""
        text, act = self.late.pop(self.random.randrange(len(self.late)))
        self.note("late", f"lands late: {text}: {'done' if act() is not None else 'refused'}")

    def _live(self, actor: Actor) -> None:
        actor.go.wait()
        actor.go.clear()
        actor.act(actor)
        actor.ended = True
        if all(each.ended for each in self._actors):
            self._done.set()
        else:
            self._next().go.set()

    def _hand_over(self, actor: Actor) -> None:
        following = self._next()
        if following is not actor:
            following.go.set()
            actor.go.wait()
            actor.go.clear()

    def _next(self) -> Actor:
        """Who acts now. A frozen one wakes when nobody else is left, or at times before."""
        alive = [each for each in self._actors if not each.ended]
        awake = [each for each in alive if not each.frozen]
        frozen = [each for each in alive if each.frozen]
        if frozen and (not awake or self.chance(0.02)):
            woken = self.random.choice(frozen)
            woken.frozen = False
            self.note("wake", f"{woken.name} wakes up")
            return woken
        return self.random.choice(awake)
