"""Takes a published run back, from where an earlier try of it stopped."""

from __future__ import annotations

from raybackfill.checkpoint.recorder import Recorder
from raybackfill.clock import utc_now
from raybackfill.control.proving.gate import Gate
from raybackfill.endings import enter, recording
from raybackfill.errors import SpecError
from raybackfill.flow.rollback import Published, take_back
from raybackfill.observe import Listener
from raybackfill.runs import OpenedRun
from raybackfill.table import Table
from raybackfill.table.view import Say, View


def rollback(run: OpenedRun, listener: Listener, *, take_over: bool = False) -> Gate | None:
    """Bring back what the run replaced, as a new version of the table. Goes on where an earlier try
    stopped, at any point. A gate that refuses it is given back: the table is then as it was."""
    state = run.checkpoint().ledger.state
    if state == "rolled_back":
        return None
    if state not in ("published", "rolling_back"):
        raise SpecError(
            f"a run that is {state} cannot be taken back",
            where=run.paths.run_id,
            next="only one that is published can" if state == "closed" else f"raybackfill resume {run.uri}",
        )
    published = Published(run.paths, run.plan.id, run.plan.base_version, run.write_empty)
    with recording(run, listener, take_over=take_over) as (recorder, _):
        return roll_back(recorder, run.table(), published, listener.say, utc_now())


def roll_back(recorder: Recorder, table: Table, run: Published, say: Say, at: str) -> Gate | None:
    """The rollback itself, by the run's driver."""
    enter(recorder, "rolling_back")
    say("rolling back")
    made = take_back(table, run, epoch=recorder.ledger.epoch, at=at)
    if isinstance(made, Gate):
        enter(recorder, "published")
        return made
    View(table, made).publish(say)
    enter(recorder, "rolled_back", version=made.number)
    return None
