"""Engines: where units are worked on, one a module. They move tasks and outcomes, and decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TextIO, TypeVar

from raybackfill.checkpoint.journal import JournalWriter
from raybackfill.checkpoint.recorder import Sender
from raybackfill.errors import RaybackfillError
from raybackfill.model import Receipt, Unit
from raybackfill.observe.logs import Line, capturing


@dataclass(frozen=True)
class Task:
    unit: Unit
    attempt: str


@dataclass(frozen=True)
class Outcome:
    """A receipt or an error, one of the two; `lines` is what was logged on the way."""

    task: Task
    receipt: Receipt | None = None
    error: RaybackfillError | None = None
    lines: tuple[Line, ...] = ()


class Work(Protocol):
    """What an engine runs for each task, in whatever process. It can be pickled, and imports what it
    needs when it is first called."""

    @property
    def run_id(self) -> str: ...

    def prepare(self) -> None:
        """Import and build what the first task needs, before it comes."""

    def __call__(self, task: Task) -> Receipt: ...


Item = TypeVar("Item")
Result = TypeVar("Result")

OpenWriter = Callable[[], JournalWriter]
"""Opens the run's journal for a new writer of this driver, in whatever process. It can be pickled."""


class Engine(Protocol):
    """The promise: every started task that is not cancelled comes back from `wait` once, as a receipt
    or one of our errors, whatever became of its process."""

    def warm(self) -> None:
        """Come back when a worker is ready for the first task; others may still be on their way. One of
        our errors where the work cannot even be prepared: that is no unit's fault."""

    def checkpoint(self, local: Sender, open_writer: OpenWriter) -> Sender:
        """Where the journal is written while units are worked on: `local`, or a place of its own."""

    def slots(self) -> int:
        """How many tasks are really worked on at the same time."""

    def capacity(self) -> int:
        """How many tasks may be under way now, those that wait for a worker included."""

    def start(self, task: Task) -> None: ...

    def wait(self, seconds: float) -> list[Outcome]:
        """Outcomes that are there; waits for the first one as long as that, or longer where this
        process does the work itself."""

    def cancel(self, attempt: str) -> None:
        """Nobody waits for this attempt any more: it may be ended, and does not come back."""

    def each(
        self, act: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | RaybackfillError]]:
        """What workers find that only look: each item with its result, or one of our errors, whatever
        became of its process. Some are under way at a time, and they come as they end. `act` and the items
        can be pickled."""

    def close(self) -> None: ...


def look(act: Callable[[Item], Result], item: Item) -> Result | RaybackfillError:
    """The act's result or one of our errors, given back, so that no engine wraps it."""
    try:
        return act(item)
    except RaybackfillError as error:
        return error


def run_task(work: Work, task: Task, echo: TextIO | None = None) -> Outcome:
    """The task's outcome; what is no error of ours is a defect and is raised as it is. `echo` gets what
    is logged at once."""
    with capturing(work.run_id, task.unit.id, task.attempt, echo) as lines:
        try:
            outcome = Outcome(task, receipt=work(task))
        except RaybackfillError as error:
            outcome = Outcome(task, error=error)
    return replace(outcome, lines=tuple(lines))
