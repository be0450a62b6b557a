"""Structured logs: one JSON object a line, with run, unit and attempt, from driver and workers alike."""

from __future__ import annotations

import json
import logging
import os
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TextIO

from raybackfill.control.planning.plan import Plan
from raybackfill.control.running.ledger import Ledger
from raybackfill.errors import RaybackfillError

FORMAT_VARIABLE = "RAYBACKFILL_LOG_FORMAT"
"""Workers inherit it: with "json" they write what they log to their own stderr too, where Ray keeps it."""

LINES_MAX = 200
"""So many lines of one attempt go back to the driver; a job that logs each row must not fill its memory."""

PROGRESS_SECONDS = 5.0

logger = logging.getLogger("raybackfill")


@dataclass(frozen=True)
class Line:
    """One log record, as it travels from a worker. `at` is RFC 3339 in UTC."""

    at: str
    level: str
    logger: str
    message: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""
    pid: int = 0

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        fields = content.pop("fields")
        return {"at": content.pop("at"), "level": content.pop("level"), "event": "log", **fields, **content}


@contextmanager
def capturing(run: str, unit: str, attempt: str, echo: TextIO | None = None) -> Iterator[list[Line]]:
    """While it is open, what any thread of this process logs is collected: raybackfill's own from INFO
    on, the job's and its libraries' as their loggers are set. Lines name the attempt. `echo` gets each
    at once, because a worker that is killed gives nothing back."""
    lines: list[Line] = []
    handler = _Collecting(lines, {"run": run, "unit": unit, "attempt": attempt}, echo)
    root = logging.getLogger()
    level = logger.level
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        logger.setLevel(level)
        handler.tell_what_is_left_out()


class _Collecting(logging.Handler):
    def __init__(self, lines: list[Line], fields: Mapping[str, str], echo: TextIO | None) -> None:
        super().__init__()
        self._lines = lines
        self._fields = fields
        self._echo = echo
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) >= LINES_MAX:
            self._left_out += 1
            return
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        self._take(
            Line(
                at=at.replace("+00:00", "Z"),
                level=record.levelname.lower(),
                logger=record.name,
                message=text_of(record),
                fields={**getattr(record, "fields", {}), **self._fields},
                host=socket.gethostname(),
                pid=os.getpid(),
            )
        )

    def tell_what_is_left_out(self) -> None:
        if self._left_out:
            said = f"{self._left_out} more line(s) of this attempt were left out"
            self._take(replace(self._lines[-1], level="warning", logger=logger.name, message=said))

    def _take(self, line: Line) -> None:
        self._lines.append(line)
        if self._echo is not None:
            self._echo.write(written(line.to_json()))
            self._echo.flush()


def text_of(record: logging.LogRecord) -> str:
    """The text, with the traceback where there is one. A job may log what cannot be put together."""
    try:
        text = record.getMessage()
    except (TypeError, ValueError) as error:
        text = f"{record.msg!r} with {record.args!r} ({error})"
    if record.exc_info:
        text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return text


def written(content: Mapping[str, Any]) -> str:
    """One line of JSON. What JSON has no word for is written as Python shows it."""
    return json.dumps(content, ensure_ascii=False, default=str) + "\n"


class Logs:
    """A listener that writes each event as a line of JSON: `at`, `level`, `event`, `run`, and what
    belongs to it. `now` gives RFC 3339 in UTC, `seconds` a clock that only goes forward."""

    def __init__(self, stream: TextIO, now: Callable[[], str], seconds: Callable[[], float]) -> None:
        self._stream = stream
        self._now = now
        self._seconds = seconds
        self._run: dict[str, Any] = {}
        self._progressed_at = -PROGRESS_SECONDS

    def began(self, run: Mapping[str, Any], plan: Plan, ledger: Ledger) -> None:
        self._run = {"run": run["run_id"]}
        done = len(ledger.decided)
        self._write("run_began", plan=plan.id, uri=run["run_uri"], units=plan.units_table.num_rows, done=done)

    def started(self, unit: str, attempt: str, why: str) -> None:
        self._write("started", unit=unit, attempt=attempt, why=why)

    def ended(self, unit: str, attempt: str, error: RaybackfillError | None, lines: Sequence[Line]) -> None:
        for line in lines:
            self._stream.write(written(line.to_json()))
        told = {"unit": unit, "attempt": attempt}
        if error is None:
            self._write("ended", **told)
        else:
            self._write("ended", level="warning", **told, error=error_fields(error))

    def recorded(self, entries: Sequence[Mapping[str, Any]]) -> None:
        for entry in entries:
            about = {name: entry[name] for name in ("unit", "attempt") if name in entry}
            rest = {name: value for name, value in entry.items() if name not in about}
            self._write("recorded", **about, entry=rest)

    def progressed(self, ledger: Ledger, running: int) -> None:
        now = self._seconds()
        if now - self._progressed_at < PROGRESS_SECONDS:
            return
        self._progressed_at = now
        counts = {"done": len(ledger.decided), "running": running, "failed": len(ledger.failed)}
        self._write("progressed", units=counts, rows=ledger.rows.to_json(), bytes_read=ledger.bytes_read)

    def say(self, text: str) -> None:
        self._write("said", message=text)

    def _write(self, event: str, level: str = "info", **fields: Any) -> None:
        head = {"at": self._now(), "level": level, "event": event, **self._run}
        self._stream.write(written({**head, **fields}))
        self._stream.flush()


def error_fields(error: RaybackfillError) -> dict[str, Any]:
    """An error as a line of a log has it."""
    fields = {"kind": error.kind, "message": error.message, "where": error.where, "next": error.next}
    return {**fields, "fault": error.fault} if error.fault else fields
