"""Closes a run: what it staged and replaced is let go of, and it can never be taken back or resumed."""

from __future__ import annotations

from raybackfill.checkpoint.recorder import Recorder
from raybackfill.endings import enter, recording
from raybackfill.errors import SpecError
from raybackfill.flow.closing import Freed, let_go
from raybackfill.observe import Listener
from raybackfill.observe.words import plural, size
from raybackfill.paths import RunPaths
from raybackfill.runs import OpenedRun
from raybackfill.storage.probe import DELETE
from raybackfill.table import Table
from raybackfill.table.view import Say, repair_view

OPEN = {"running", "staged", "publishing"}


def close(run: OpenedRun, listener: Listener, *, take_over: bool = False) -> None:
    """Once it is said to be closed, all is removed that nobody needs. Again on a closed run, it removes what
    an earlier try left."""
    state = run.checkpoint().ledger.state
    if state in OPEN or state == "rolling_back":
        command = "rollback" if state == "rolling_back" else "resume"
        raise SpecError(
            f"a run that is {state} is not closed",
            where=run.paths.run_id,
            next=f"bring it to its end first: raybackfill {command} {run.uri}",
        )
    with recording(run, listener, take_over=take_over) as (recorder, missing):
        deletes = not any(lack.startswith(DELETE) for lack in missing)
        freed = let_go_of(recorder, run.table(), run.paths, listener.say, deletes_on_condition=deletes)
    listener.say(f"removed {plural(freed.files, 'file')}, {size(freed.bytes)}")
    if freed.left:
        listener.say(f"left under the target: {plural(freed.left, 'empty file')}; the store has no {DELETE}")


def let_go_of(
    recorder: Recorder, table: Table, run: RunPaths, say: Say, *, deletes_on_condition: bool
) -> Freed:
    """The closing itself, by the run's driver. The record comes first: a rollback that begins later is
    refused, and one that began would have been seen."""
    repair_view(table, say)
    if recorder.ledger.state != "closed":
        enter(recorder, "closed")
    return let_go(table, run, deletes_on_condition=deletes_on_condition)
