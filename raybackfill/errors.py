"""The errors of raybackfill: five, grouped by what the operator must do."""

from __future__ import annotations

from typing import Any

WORKER_LOST = "worker_lost"
OUT_OF_MEMORY = "out_of_memory"


class RaybackfillError(Exception):
    """What all five have in common: a sentence, where it happened, and the next step.

    `where` names the file, object, key or unit; `next` is a command or an edit that helps; `fault`
    is WORKER_LOST or OUT_OF_MEMORY where a unit's process came to that end.
    All of them survive pickling, because workers raise them in other processes.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        where: str = "",
        next: str = "",
        exit_code: int | None = None,
        fault: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.next = next
        self.fault = fault
        if exit_code is not None:
            self.exit_code = exit_code

    @property
    def kind(self) -> str:
        return type(self).__name__

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}; {self.next}" if self.next else head

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.where, self.next, self.exit_code, self.fault)


def _rebuild(
    kind: type[RaybackfillError], message: str, where: str, next: str, exit_code: int, fault: str
) -> RaybackfillError:
    return kind(message, where=where, next=next, exit_code=exit_code, fault=fault)


class SpecError(RaybackfillError):
    """The config, the job or the input it names is wrong: fix it and run again. Nothing was done."""

    exit_code = 2


class TransientError(RaybackfillError):
    """Something outside failed and may work next time: a lost worker, a store that does not answer."""

    exit_code = 3


class UnitError(RaybackfillError):
    """One unit fails by itself, each time: its data or the job on its data. The others can go on."""

    exit_code = 3


class IntegrityError(RaybackfillError):
    """What was found is not what was promised. Nothing (more) is published.

    Exit code 4 where the plan no longer holds (a source or target object changed since).
    """

    exit_code = 1


class FencedError(RaybackfillError):
    """Another driver owns this run, or another run of this backfill is live: stop."""

    exit_code = 5
