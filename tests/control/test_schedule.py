"""The schedule: what is started, tried again, divided, set aside or backed up, and when."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from raybackfill.control.running.entries import failure_entry, receipt_entry
from raybackfill.control.running.ledger import Failure, Ledger
from raybackfill.control.running.retry import RetryPolicy, Step, after_failure, breaks, wait_seconds
from raybackfill.control.running.schedule import Schedule, Start
from raybackfill.errors import OUT_OF_MEMORY, WORKER_LOST, RaybackfillError, TransientError, UnitError
from raybackfill.model import Piece, Receipt, Rows, Unit

LOST = TransientError("lost", fault=WORKER_LOST)


def unit(name: str, pieces: int = 1) -> Unit:
    return Unit(name, 0, "work", tuple(Piece(f"{name}{n}", 1, "t", None, 1, 1) for n in range(pieces)))


class Play:
    """A schedule with the ledger that a driver would have, played by hand."""

    def __init__(self, *units: Unit, attempts: int = 4, ledger: Ledger | None = None) -> None:
        self.ledger = ledger or Ledger()
        self.schedule = Schedule(units, self.ledger, RetryPolicy(attempts), whole_partitions=False)
        self.now = 0.0
        self._numbers = count(1)

    def start(self, free: int = 0) -> tuple[str, str, str] | None:
        """(unit, attempt, why) of what is started next."""
        start: Start | None = self.schedule.next(self.now, free)
        if start is None:
            return None
        attempt = f"a{next(self._numbers)}"
        self.schedule.started(start, attempt, self.now)
        return start.unit.id, attempt, start.why

    def end(
        self, unit: str, attempt: str, error: RaybackfillError | None = None, seconds: float = 1.0
    ) -> list[Any]:
        """The attempt comes back and is recorded at once: what the schedule records because of it."""
        assert self.schedule.ended(attempt, None if error else seconds)
        receipt = Receipt(unit, attempt, Rows(), (), 0, 0)
        return self.land(failure_entry(unit, attempt, error) if error else receipt_entry(receipt))

    def land(self, entry: Mapping[str, Any]) -> list[Any]:
        self.ledger.apply(entry)
        return self.schedule.landed(entry, self.now)


def test_every_unit_is_started_once_and_then_all_is_done() -> None:
    play = Play(unit("a"), unit("b"))
    assert play.start() == ("a", "a1", "first")
    assert play.start() == ("b", "a2", "first")
    assert play.start() is None
    assert not play.schedule.is_done
    assert play.end("a", "a1") == play.end("b", "a2") == []
    assert play.schedule.is_done


def test_what_the_ledger_has_decided_or_set_aside_is_not_started() -> None:
    ledger = Ledger(decided={"a": "x"}, failed={"b": Failure("UnitError", "m", "", 4, 0, set_aside=True)})
    play = Play(unit("a"), unit("b"), unit("c"), ledger=ledger)
    assert play.start() == ("c", "a1", "first")
    assert play.start() is None


def test_a_unit_is_not_done_before_its_receipt_is_durable() -> None:
    play = Play(unit("a"))
    play.start()
    play.schedule.ended("a1", 1.0)
    assert play.start() is None
    assert play.schedule.is_idle
    assert not play.schedule.is_done
    play.land(receipt_entry(Receipt("a", "a1", Rows(), (), 0, 0)))
    assert play.schedule.is_done


def test_what_failed_by_itself_is_tried_again_at_once_and_then_set_aside() -> None:
    play = Play(unit("a"), unit("b"), attempts=2)
    play.start()
    assert play.end("a", "a1", UnitError("wrong")) == []
    assert play.start() == ("a", "a2", "again")
    (entry,) = play.end("a", "a2", UnitError("wrong"))
    assert (entry["kind"], entry["unit"]) == ("set_aside", "a")
    assert play.land(entry) == []
    assert play.start() == ("b", "a3", "first")
    play.end("b", "a3")
    assert play.start() is None
    assert play.schedule.is_done


def test_what_failed_from_outside_waits_longer_each_time() -> None:
    play = Play(unit("a"))
    waits = []
    for _ in range(3):
        started = play.start()
        assert started is not None
        play.end("a", started[1], TransientError("503"))
        due = play.schedule.due_seconds(play.now)
        assert due is not None
        assert play.start() is None
        waits.append(due)
        play.now += due
    assert waits == sorted(waits)
    assert waits[2] > 4 * waits[0]


def test_a_unit_that_lost_its_worker_twice_is_divided_and_its_parts_are_started() -> None:
    play = Play(unit("a", pieces=2))
    play.start()
    assert play.end("a", "a1", LOST) == []
    play.now += 100
    play.start()
    (entry,) = play.end("a", "a2", LOST)
    assert entry["kind"] == "split"
    assert play.land(entry) == []
    whys = [play.start(), play.start()]
    assert [each[2] for each in whys if each] == ["part", "part"]
    assert [each[0] for each in whys if each] == [part["unit"] for part in entry["parts"]]
    for each in whys:
        assert each is not None
        play.end(each[0], each[1])
    assert play.start() is None
    assert play.schedule.is_done


def test_too_little_memory_divides_at_once_and_what_cannot_be_divided_is_tried_again() -> None:
    starved = Failure("TransientError", "m", OUT_OF_MEMORY, 1, 0)
    assert after_failure(starved, RetryPolicy(), divisible=True) is Step.DIVIDE
    assert after_failure(starved, RetryPolicy(), divisible=False) is Step.AGAIN
    last = Failure("TransientError", "m", OUT_OF_MEMORY, 4, 0)
    assert after_failure(last, RetryPolicy(), divisible=False) is Step.SET_ASIDE


def test_a_straggler_gets_one_backup_and_the_first_receipt_ends_the_other() -> None:
    play = Play(*(unit(name) for name in "abcd"))
    for _ in range(4):
        play.start()
    for name, attempt in (("a", "a1"), ("b", "a2"), ("c", "a3")):
        play.end(name, attempt, seconds=2.0)
    assert play.start(free=1) is None
    play.now = 30.0
    assert play.start(free=0) is None
    assert play.start(free=1) == ("d", "a5", "backup")
    assert play.start(free=1) is None
    play.end("d", "a5")
    assert play.schedule.losers() == ["a4"]
    assert not play.schedule.ended("a4", 40.0)
    assert play.schedule.is_done


def test_a_failure_beside_a_running_backup_starts_nothing_more() -> None:
    play = Play(*(unit(name) for name in "abcd"))
    for _ in range(4):
        play.start()
    for name, attempt in (("a", "a1"), ("b", "a2"), ("c", "a3")):
        play.end(name, attempt)
    play.now = 100.0
    play.start(free=1)
    assert play.end("d", "a4", UnitError("wrong")) == []
    assert play.start() is None
    assert play.end("d", "a5", UnitError("wrong")) == []
    assert play.start() == ("d", "a6", "again")


def test_a_stopped_schedule_starts_nothing_and_ends_with_what_runs() -> None:
    play = Play(unit("a"), unit("b"))
    play.start()
    play.schedule.stop()
    assert play.start() is None
    assert not play.schedule.is_done
    assert play.end("a", "a1", UnitError("wrong")) == []
    assert play.schedule.is_done


def test_the_breaker_needs_a_share_of_the_units_and_at_least_three() -> None:
    assert not breaks(2, 10, RetryPolicy())
    assert breaks(3, 10, RetryPolicy())
    assert not breaks(5, 100, RetryPolicy())
    assert breaks(6, 100, RetryPolicy())


def test_units_do_not_come_back_all_at_once() -> None:
    failure = Failure("TransientError", "503", "", 3, 0)
    waits = {wait_seconds(f"unit-{number}", failure) for number in range(50)}
    assert len(waits) == 50
    assert all(8 <= wait <= 16 for wait in waits)
