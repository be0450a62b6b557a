"""Engines: where units are worked on, one a module. They move tasks and outcomes, and decide nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from raybackfill.errors import RaybackfillError
from raybackfill.model import Receipt, Unit


@dataclass(frozen=True)
class Task:
    unit: Unit
    attempt: str


@dataclass(frozen=True)
class Outcome:
    """A receipt or an error, one of the two."""

    task: Task
    receipt: Receipt | None = None
    error: RaybackfillError | None = None


class Work(Protocol):
    """What an engine runs for each task, in whatever process. It can be pickled, and imports what it
    needs when it is first called."""

    def prepare(self) -> None:
        """Import and build what the first task needs, before it comes."""

    def __call__(self, task: Task) -> Receipt: ...


class Engine(Protocol):
    """The promise: every started task comes back from `wait` once, as a receipt or one of our
    errors, whatever became of its process."""

    def warm(self) -> None:
        """Come back when a worker is ready for the first task; others may still be on their way. One of
        our errors where the work cannot even be prepared: that is no unit's fault."""

    def capacity(self) -> int:
        """How many tasks may be under way now, those that wait for a worker included."""

    def start(self, task: Task) -> None: ...

    def wait(self) -> list[Outcome]:
        """Outcomes that are there, at least one."""

    def close(self) -> None: ...
