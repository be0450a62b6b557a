"""The loop: start units, record their receipts, publish. Short, and kept short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from raybackfill.checkpoint.recorder import LocalSender, Recorder
from raybackfill.clock import Clock
from raybackfill.control.proving.composition import Composition
from raybackfill.control.proving.gate import Gate
from raybackfill.control.proving.verification import Verification
from raybackfill.control.running.entries import Entry, retry_failed_entry, state_entry, verified_entry
from raybackfill.control.running.ledger import FINAL, Ledger
from raybackfill.control.running.retry import RetryPolicy
from raybackfill.control.running.schedule import Schedule
from raybackfill.engines import Engine, OpenWriter
from raybackfill.errors import RaybackfillError, TransientError
from raybackfill.flow.publish import Publication, make_version, show_version
from raybackfill.model import Unit, Version
from raybackfill.observe import Listener
from raybackfill.storage import ObjectStore
from raybackfill.table import Table
from raybackfill.working import Working


@dataclass(frozen=True)
class Job:
    """What is carried out: the plan's units over this table, as this run, by this driver.

    `local` writes the journal from this process; `open_writer` does where an engine has a better place.
    """

    units: Callable[[], Iterable[Unit]]
    units_total: int
    whole_partitions: bool
    retries: RetryPolicy
    table: Table
    publication: Callable[[Ledger], Publication]
    verification: Callable[[Engine, Ledger], Verification]
    recorder: Recorder
    local: LocalSender
    open_writer: OpenWriter
    state_store: ObjectStore
    requests: Callable[[], Mapping[str, int]]

    @property
    def ledger(self) -> Ledger:
        return self.recorder.ledger

    def enter(self, state: str, *more: Entry, reason: str = "", version: int | None = None) -> None:
        """Record the run's new state, and what the driver sent to get there, in one object with `more`. A
        move that cannot be is refused before it is written: the journal would be refused by every reader
        from then on."""
        self.ledger.check_move(state)
        entry = state_entry(state, reason=reason, version=version, requests=self.requests())
        self.recorder.hand_in(entry, *more)
        self.recorder.settle()

    def schedule(self) -> Schedule:
        return Schedule(self.units(), self.ledger, self.retries, whole_partitions=self.whole_partitions)


def carry_out(
    job: Job,
    open_engine: Callable[[], Engine],
    clock: Clock,
    listener: Listener,
    *,
    publish: bool,
    retry_failed: bool,
    stop_asked: Callable[[], bool],
    redo: Sequence[Entry] = (),
) -> Version | Gate | None:
    """Work on what is undecided, look at what was staged, then publish. Goes on where an earlier driver
    stopped, at any point. `redo`: decisions that are taken back first.

    A version that the run has made already is brought to the paths first: after it nothing of the
    source is looked at again, because the source may be the table itself.
    """
    if job.ledger.state in FINAL and not redo:
        # Another driver ended it after this one looked, and before this one began.
        return None
    if job.ledger.state != "publishing":
        if retry_failed and job.ledger.set_aside:
            job.recorder.hand_in(retry_failed_entry())
            job.recorder.settle()
        if job.ledger.state != "running":
            job.enter("running", *redo)
        # Taking an engine down takes seconds, for which a table need not wait: it is closed last.
        with closing(open_engine()) as engine:
            _work_to_the_end(job, engine, clock, listener, stop_asked)
            job.enter("staged")
            gate = _verify(job, engine, listener)
            return gate or (_publish(job, clock, listener) if publish else None)
    return _publish(job, clock, listener)


def _work_to_the_end(
    job: Job, engine: Engine, clock: Clock, listener: Listener, stop_asked: Callable[[], bool]
) -> None:
    """Every unit staged, or the run is stopped in the journal and the error raised. The journal is
    written where the engine says meanwhile, and by this process again afterwards."""
    sender = engine.checkpoint(job.local, job.open_writer)
    try:
        job.recorder.use(sender)
        engine.warm()
        listener.say("working")
        Working(
            schedule=job.schedule(),
            recorder=job.recorder,
            engine=engine,
            clock=clock,
            listener=listener,
            stop_asked=stop_asked,
            policy=job.retries,
            units_total=job.units_total,
        ).to_the_end()
        _write_here_again(job, sender is not job.local, clock)
    except RaybackfillError as error:
        if error.exit_code != 5:
            # A store that fails now too takes this note, but not what is staged: the run resumes without.
            with suppress(TransientError):
                _write_here_again(job, sender is not job.local, clock)
                job.enter("stopped", reason=str(error))
        raise


def _write_here_again(job: Job, was_elsewhere: bool, clock: Clock) -> None:
    job.recorder.use(job.local)
    if was_elsewhere:
        job.local.begin(clock.now())


def _verify(job: Job, engine: Engine, listener: Listener) -> Gate | None:
    """The gate before a publish: what was staged must be what its receipts say."""
    listener.say("verifying")
    found = job.verification(engine, job.ledger)
    job.recorder.hand_in(verified_entry(found.summary(), found.requests))
    job.recorder.settle()
    if found.holds:
        return None
    job.enter("stopped", reason=found.reason())
    return Gate("verified", found.reason(), "repair it: raybackfill verify RUN --repair")


def _publish(job: Job, clock: Clock, listener: Listener) -> Version | Gate:
    """Make the run's version and bring the paths to it. Safe to repeat after a crash at any point."""
    if job.ledger.state != "publishing":
        job.enter("publishing")
    listener.say("publishing")
    publication = job.publication(job.ledger)
    made = make_version(job.table, publication, job.state_store, epoch=job.ledger.epoch, at=clock.now())
    if isinstance(made, Composition):
        job.enter("stopped", reason=made.reason)
        return Gate(made.refused_by, made.reason, made.next)
    show_version(job.table, made, listener.say)
    job.enter("published", version=made.number)
    return made
