"""Work for engines to run, importable by workers: what a unit's ID says happens."""

from __future__ import annotations

import os
import secrets
import signal
from dataclasses import dataclass

from raybackfill.checkpoint.journal import Journal, JournalWriter
from raybackfill.engines import Task
from raybackfill.errors import UnitError
from raybackfill.model import Piece, Receipt, Rows, Unit
from raybackfill.paths import RunPaths
from raybackfill.storage.local import LocalStore
from raybackfill.storage.meter import Meter


class Work:
    """A Work of the engines' contract."""

    run_id = "run"

    def prepare(self) -> None:
        pass

    def __call__(self, task: Task) -> Receipt:
        kind = task.unit.id.split("-")[0]
        if kind == "unit_error":
            raise UnitError("the data is wrong", where="some/object", next="mend it")
        if kind == "defect":
            raise ZeroDivisionError("not one of ours")
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return Receipt(task.unit.id, task.attempt, Rows(read=len(kind), out=len(kind)), (), 1, 2)


def seen(name: str) -> str:
    """What a worker finds that only looks."""
    if name == "unit_error":
        raise UnitError("the data is wrong", where="some/object", next="mend it")
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return f"saw {name}"


@dataclass(frozen=True)
class Opening:
    """Opens the journal of a run on this machine's disk."""

    root: str

    def __call__(self) -> JournalWriter:
        journal = Journal(LocalStore(Meter()), RunPaths.of_root(self.root))
        return JournalWriter(journal, driver="A", writer=secrets.token_hex(4), host="host")


def task(unit: str) -> Task:
    return Task(Unit(unit, 0, "work", (Piece("key", 1, "tag", None, 1, 1),)), f"attempt-of-{unit}")
