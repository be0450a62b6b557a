"""The loop: start units, record their receipts, publish. Short, and kept short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from raybackfill.checkpoint import Checkpoint
from raybackfill.control.proving.composition import Composition
from raybackfill.control.running.ledger import failure_entry, receipt_entry, state_entry
from raybackfill.engines import Engine, Outcome, Task
from raybackfill.errors import RaybackfillError, TransientError
from raybackfill.flow.publish import Publication, make_version, show_version
from raybackfill.model import Unit, Version
from raybackfill.observe import Listener
from raybackfill.storage import ObjectStore
from raybackfill.table import Table


@dataclass(frozen=True)
class Clock:
    """Where time and randomness come from: `now` as text (RFC 3339, UTC), `new_id` for attempts."""

    now: Callable[[], str]
    new_id: Callable[[], str]


@dataclass(frozen=True)
class Gate:
    """A check that refused the next step, why, and what helps."""

    name: str
    reason: str
    next: str


@dataclass(frozen=True)
class Job:
    """What is carried out: the plan's units over this table, as this run."""

    units: Callable[[], Iterable[Unit]]
    table: Table
    publication: Callable[[Checkpoint], Publication]
    checkpoint: Checkpoint
    state_store: ObjectStore
    requests: Callable[[], Mapping[str, int]]

    def enter(self, state: str, clock: Clock, *, reason: str = "", version: int | None = None) -> None:
        """Record the run's new state, and what the driver sent to get there."""
        entry = state_entry(state, reason=reason, version=version, requests=self.requests())
        self.checkpoint.append([entry], clock.now())


def carry_out(
    job: Job,
    open_engine: Callable[[], Engine],
    clock: Clock,
    listener: Listener,
    *,
    publish: bool,
    stop_asked: Callable[[], bool],
) -> Version | Gate | None:
    """Work on what is undecided, then publish. Goes on where an earlier driver stopped, at any point.

    A version that the run has made already is brought to the paths first: after it nothing of the
    source is looked at again, because the source may be the table itself.
    """
    checkpoint = job.checkpoint
    if checkpoint.ledger.state != "publishing":
        if checkpoint.ledger.state != "running":
            job.enter("running", clock)
        # Taking an engine down takes seconds, for which a table need not wait: it is closed last.
        with closing(open_engine()) as engine:
            _work_to_the_end(job, engine, clock, listener, stop_asked)
            job.enter("staged", clock)
            return _publish(job, clock, listener) if publish else None
    return _publish(job, clock, listener)


def _work_to_the_end(
    job: Job, engine: Engine, clock: Clock, listener: Listener, stop_asked: Callable[[], bool]
) -> None:
    """Every unit staged, or the run is stopped in the journal and the error raised."""
    try:
        engine.warm()
        listener.say("working")
        work(job.units(), job.checkpoint, engine, clock, listener, stop_asked)
    except RaybackfillError as error:
        if error.exit_code != 5:
            job.enter("stopped", clock, reason=str(error))
        raise


def work(
    units: Iterable[Unit],
    checkpoint: Checkpoint,
    engine: Engine,
    clock: Clock,
    listener: Listener,
    stop_asked: Callable[[], bool],
) -> None:
    """Bring every undecided unit to a receipt in the journal.

    The first unit that fails stops new ones from being started; those that run are waited for and
    recorded, and its error is raised then. A crash loses what is not in the journal, no more.
    """
    waiting = (unit for unit in units if unit.id not in checkpoint.ledger.decided)
    error: RaybackfillError | None = None
    running = 0
    while True:
        if error is None and stop_asked():
            error = TransientError("interrupted: what is staged is kept")
        while error is None and running < engine.capacity():
            unit = next(waiting, None)
            if unit is None:
                break
            engine.start(Task(unit, clock.new_id()))
            running += 1
        if running == 0:
            break
        outcomes = engine.wait()
        running -= len(outcomes)
        checkpoint.append([_entry(outcome) for outcome in outcomes], clock.now())
        listener.progressed(checkpoint.ledger, running)
        error = error or next((o.error for o in outcomes if o.error is not None), None)
    if error is not None:
        raise error


def _entry(outcome: Outcome) -> dict[str, Any]:
    if outcome.receipt is not None:
        return receipt_entry(outcome.receipt)
    error = outcome.error
    assert error is not None, "an outcome is a receipt or an error"
    return failure_entry(outcome.task.unit.id, outcome.task.attempt, error.kind, str(error))


def _publish(job: Job, clock: Clock, listener: Listener) -> Version | Gate:
    """Make the run's version and bring the paths to it. Safe to repeat after a crash at any point."""
    checkpoint = job.checkpoint
    if checkpoint.ledger.state != "publishing":
        job.enter("publishing", clock)
    listener.say("publishing")
    publication = job.publication(checkpoint)
    epoch = checkpoint.ledger.epoch
    made = make_version(job.table, publication, job.state_store, epoch=epoch, at=clock.now())
    if isinstance(made, Composition):
        job.enter("stopped", clock, reason=made.reason)
        return Gate(made.refused_by, made.reason, made.next)
    show_version(job.table, made)
    job.enter("published", clock, version=made.number)
    return made
