"""Structured logs: every line is JSON and names run, unit and attempt, whoever logged it."""

from __future__ import annotations

import io
import json
import logging
import pickle
from threading import Thread
from typing import Any

import pytest

from raybackfill.control.running.entries import failure_entry, state_entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.errors import WORKER_LOST, TransientError, UnitError
from raybackfill.observe import Several, Silent
from raybackfill.observe.live import Live
from raybackfill.observe.logs import LINES_MAX, PROGRESS_SECONDS, Line, Logs, capturing, text_of

IDS = {"run": "orders-1", "unit": "u", "attempt": "a"}
ours = logging.getLogger("raybackfill.worker")
jobs = logging.getLogger("jobs.orders")


def messages(lines: list[Line]) -> list[str]:
    return [line.message for line in lines]


def test_what_an_attempt_logs_is_collected_with_its_names_from_any_thread() -> None:
    with capturing("orders-1", "u", "a") as lines:
        ours.info("began", extra={"fields": {"pieces": 2}})
        jobs.warning("odd value %s", 7)
        jobs.info("not asked for")
        thread = Thread(target=ours.info, args=("from a reader",))
        thread.start()
        thread.join()
    ours.info("after it")
    assert messages(lines) == ["began", "odd value 7", "from a reader"]
    assert lines[0].fields == {"pieces": 2, **IDS}
    assert [line.level for line in lines] == ["info", "warning", "info"]
    assert pickle.loads(pickle.dumps(lines)) == lines


def test_a_jobs_own_level_is_kept_and_nothing_is_left_changed() -> None:
    before = (list(logging.getLogger().handlers), logging.getLogger("raybackfill").level)
    jobs.setLevel(logging.DEBUG)
    try:
        with pytest.raises(UnitError), capturing("orders-1", "u", "a") as lines:
            jobs.debug("asked for")
            raise UnitError("the job failed")
    finally:
        jobs.setLevel(logging.NOTSET)
    assert messages(lines) == ["asked for"]
    assert (list(logging.getLogger().handlers), logging.getLogger("raybackfill").level) == before


def test_a_job_that_logs_each_row_fills_nothing_and_what_is_left_out_is_counted() -> None:
    with capturing("orders-1", "u", "a") as lines:
        for number in range(LINES_MAX + 50):
            jobs.warning("row %d", number)
    assert len(lines) == LINES_MAX + 1
    assert lines[-1].message == "50 more line(s) of this attempt were left out"


def test_a_traceback_is_part_of_the_message() -> None:
    with capturing("orders-1", "u", "a") as lines:
        try:
            raise ValueError("bad luck")
        except ValueError:
            jobs.exception("it failed")
    assert messages(lines)[0].startswith("it failed")
    assert "ValueError: bad luck" in messages(lines)[0]


def test_what_cannot_be_put_together_is_logged_all_the_same() -> None:
    # Not through a logger: the test runner's own handler refuses such a record.
    record = logging.makeLogRecord({"msg": "%d rows", "args": ("many",)})
    assert "'%d rows' with ('many',)" in text_of(record)


def test_a_worker_that_is_killed_has_written_what_it_logged() -> None:
    echo = io.StringIO()
    with capturing("orders-1", "u", "a", echo):
        ours.info("began")
        (said,) = map(json.loads, echo.getvalue().splitlines())
    assert (said["event"], said["message"]) == ("log", "began")
    assert IDS.items() <= said.items()


class Ticking:
    """Seconds that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def logged(tell: Any, clock: Ticking | None = None) -> list[dict[str, Any]]:
    stream = io.StringIO()
    tell(Logs(stream, lambda: "2025-01-01T00:00:00Z", clock or Ticking()))
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_event_is_a_line_and_a_workers_lines_go_through_as_they_are() -> None:
    line = Line("2025-01-01T00:00:01Z", "info", "raybackfill.worker", "began", IDS, "host", 7)
    lost = TransientError("a worker was lost", where="unit u", fault=WORKER_LOST)

    def tell(logs: Logs) -> None:
        logs.started("u", "a", "first")
        logs.ended("u", "a", lost, [line])
        logs.recorded([failure_entry("u", "a", lost), state_entry("stopped", reason="why")])
        logs.say("working")

    started, passed, ended, failed, state, said = logged(tell)
    assert (started["event"], started["unit"], started["attempt"], started["why"]) == (
        "started",
        "u",
        "a",
        "first",
    )
    assert passed == line.to_json()
    assert (ended["level"], ended["error"]["fault"]) == ("warning", WORKER_LOST)
    assert (failed["unit"], failed["entry"]["kind"], state["entry"]["state"]) == ("u", "failed", "stopped")
    assert said["message"] == "working"
    assert all(each["at"] and each["level"] for each in (started, ended, failed, state, said))


def test_progress_is_written_every_few_seconds() -> None:
    clock = Ticking()

    def tell(logs: Logs) -> None:
        for _ in range(10):
            logs.progressed(Ledger(), 1)
            clock.seconds += PROGRESS_SECONDS / 5

    assert len(logged(tell, clock)) == 2


def test_a_person_sees_the_warnings_of_a_job() -> None:
    stream = io.StringIO()
    line = Line("t", "warning", "jobs.orders", "odd value", IDS)
    Live(stream, Ticking()).ended("u", "a", None, [line, Line("t", "info", "x", "quiet", IDS)])
    assert stream.getvalue() == "warning of jobs.orders, unit u: odd value\n"


def test_several_listeners_are_told_the_same() -> None:
    told: list[str] = []

    class Hears(Silent):
        def say(self, text: str) -> None:
            told.append(text)

        def started(self, unit: str, attempt: str, why: str) -> None:
            told.append(why)

    both = Several([Hears(), Hears()])
    both.say("working")
    both.started("u", "a", "first")
    assert told == ["working", "working", "first", "first"]
