"""Works on units one after the other in this process: for tests and debugging; the reference."""

from __future__ import annotations

from raybackfill.engines import Outcome, Task, Work
from raybackfill.errors import RaybackfillError


class InlineEngine:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: list[Task] = []

    def warm(self) -> None:
        self._work.prepare()

    def capacity(self) -> int:
        return 1

    def start(self, task: Task) -> None:
        self._tasks.append(task)

    def wait(self) -> list[Outcome]:
        return [run_task(self._work, self._tasks.pop(0))]

    def close(self) -> None:
        self._tasks.clear()


def run_task(work: Work, task: Task) -> Outcome:
    """The task's outcome; what is no error of ours is a defect and is raised as it is."""
    try:
        return Outcome(task, receipt=work(task))
    except RaybackfillError as error:
        return Outcome(task, error=error)
