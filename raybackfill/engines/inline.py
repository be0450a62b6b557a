"""Works on units one after the other in this process: for tests and debugging; the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from raybackfill.checkpoint.recorder import Sender
from raybackfill.engines import Item, OpenWriter, Outcome, Result, Task, Work, look, run_task
from raybackfill.errors import RaybackfillError


class InlineEngine:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: list[Task] = []

    def warm(self) -> None:
        self._work.prepare()

    def checkpoint(self, local: Sender, open_writer: OpenWriter) -> Sender:
        return local

    def slots(self) -> int:
        return 1

    def capacity(self) -> int:
        return 1

    def start(self, task: Task) -> None:
        self._tasks.append(task)

    def wait(self, seconds: float) -> list[Outcome]:
        return [run_task(self._work, self._tasks.pop(0))] if self._tasks else []

    def cancel(self, attempt: str) -> None:
        self._tasks = [task for task in self._tasks if task.attempt != attempt]

    def each(
        self, act: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | RaybackfillError]]:
        return ((item, look(act, item)) for item in items)

    def close(self) -> None:
        self._tasks.clear()
