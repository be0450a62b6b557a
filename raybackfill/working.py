"""The loop over units: starts what the schedule says, records what comes back, until all is decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raybackfill.checkpoint.recorder import Recorder
from raybackfill.clock import Clock
from raybackfill.control.running.entries import Entry, failure_entry, receipt_entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.control.running.retry import PASSES, RetryPolicy, breaks
from raybackfill.control.running.schedule import Schedule
from raybackfill.engines import Engine, Outcome, Task
from raybackfill.errors import RaybackfillError, TransientError, UnitError
from raybackfill.observe import Listener

# So often at least it is looked whether somebody asked to stop, whether batches landed, and whether a
# straggler needs a backup.
WAKE_SECONDS = 1.0


@dataclass
class Working:
    """Brings every undecided unit to a decision in the journal.

    A unit that fails is tried again, divided or set aside, and the others go on. An error that is the
    whole run's, or a wish to stop, stops new units from being started; those that run are waited for
    and recorded, and it is raised then. A crash loses what is not in the journal, no more.
    """

    schedule: Schedule
    recorder: Recorder
    engine: Engine
    clock: Clock
    listener: Listener
    stop_asked: Callable[[], bool]
    policy: RetryPolicy
    units_total: int
    error: RaybackfillError | None = None

    def to_the_end(self) -> None:
        while True:
            if self.error is None and self.stop_asked():
                self._stop(TransientError("interrupted: what is staged is kept"))
            self._start()
            if self.schedule.is_done and self.recorder.is_empty:
                break
            self._take(self._outcomes())
            self._follow_up()
        if self.error is not None:
            raise self.error
        if set_aside := self.recorder.ledger.set_aside:
            raise failed_for_good(self.recorder.ledger, self.units_total, len(set_aside))

    def _start(self) -> None:
        schedule, engine = self.schedule, self.engine
        while schedule.running < engine.capacity():
            now = self.clock.seconds()
            start = schedule.next(now, engine.slots() - schedule.running)
            if start is None:
                return
            attempt = self.clock.new_id()
            schedule.started(start, attempt, now)
            self.listener.started(start.unit.id, attempt, start.why)
            engine.start(Task(start.unit, attempt))

    def _outcomes(self) -> Sequence[Outcome]:
        if self.schedule.running:
            return self.engine.wait(self._wait_seconds())
        if not self.schedule.is_idle and self.recorder.is_empty:
            self.clock.sleep(self._wait_seconds())
        return ()

    def _wait_seconds(self) -> float:
        due = self.schedule.due_seconds(self.clock.seconds())
        return WAKE_SECONDS if due is None else min(due, WAKE_SECONDS)

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            receipt, error, task = outcome.receipt, outcome.error, outcome.task
            self.listener.ended(task.unit.id, task.attempt, error, outcome.lines)
            if not self.schedule.ended(task.attempt, receipt.seconds if receipt else None):
                continue
            self.recorder.hand_in(_entry(outcome))
            if error is not None and error.kind not in PASSES:
                self._stop(error)

    def _follow_up(self) -> None:
        """Let the schedule answer what became durable; nothing else tells what the ledger decided."""
        waits_for_all = not self.schedule.running
        landed = self.recorder.settle() if waits_for_all else self.recorder.landed()
        for entry in landed:
            self.recorder.hand_in(*self.schedule.landed(entry, self.clock.seconds()))
        for attempt in self.schedule.losers():
            self.engine.cancel(attempt)
        if landed:
            self._look_at(landed)

    def _look_at(self, landed: Sequence[Entry]) -> None:
        ledger = self.recorder.ledger
        self.listener.recorded(landed)
        self.listener.progressed(ledger, self.schedule.running)
        if any(entry["kind"] == "set_aside" for entry in landed):
            count = len(ledger.set_aside)
            if breaks(count, self.units_total, self.policy):
                self._stop(failed_for_good(ledger, self.units_total, count, broke=True))

    def _stop(self, error: RaybackfillError) -> None:
        self.error = self.error or error
        self.schedule.stop()


def _entry(outcome: Outcome) -> Entry:
    if outcome.receipt is not None:
        return receipt_entry(outcome.receipt)
    assert outcome.error is not None, "an outcome is a receipt or an error"
    return failure_entry(outcome.task.unit.id, outcome.task.attempt, outcome.error)


def failed_for_good(ledger: Ledger, total: int, count: int, *, broke: bool = False) -> UnitError:
    """What to tell of units that were set aside: how many, and why the first of them."""
    unit, failure = next(iter(ledger.set_aside.items()))
    others = ", the others are staged" if total > count else ""
    stopped = ", more than retries.breaker allows, so the run stopped"
    tried = f"{failure.attempts} time{'s' if failure.attempts > 1 else ''}"
    return UnitError(
        f"{count} of {total} unit{'s' if total > 1 else ''} failed for good{stopped if broke else others}: "
        f"{failure.message} (unit {unit}, tried {tried})",
        next="mend the cause, then: raybackfill resume RUN --retry-failed; "
        "after a change of the job: raybackfill run CONFIG --new",
    )
