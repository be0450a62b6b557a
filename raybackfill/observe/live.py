"""Shows a run while it works: one line that changes on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from raybackfill.control.planning.plan import Plan
from raybackfill.control.running.ledger import Ledger
from raybackfill.errors import RaybackfillError
from raybackfill.observe import Silent
from raybackfill.observe.logs import Line
from raybackfill.observe.words import amount, duration, plural, size

REDRAW_SECONDS = 0.2
LINE_SECONDS = 5.0
BAR_WIDTH = 20
# Of one attempt; the structured logs have them all.
WARNINGS_MAX = 10


class Live(Silent):
    """`clock` gives seconds. Rates are of this driver's time, so that a resumed run shows its own."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._terminal = stream.isatty()
        self._total = 0
        self._bytes_total = 0
        self._rows_before = 0
        self._bytes_before = 0
        self._started = clock()
        self._shown_at = -LINE_SECONDS
        self._line_open = False

    def began(self, run: Mapping[str, Any], plan: Plan, ledger: Ledger) -> None:
        self._total = plan.units_table.num_rows
        self._bytes_total = plan.summary["estimate"]["bytes_read"]
        self._rows_before, self._bytes_before = ledger.rows.read, ledger.bytes_read
        self._started = self._clock()
        done = len(ledger.decided)
        before = f", {done} of them done before" if done else ""
        self._write(f"run {run['run_id']}: {plural(self._total, 'unit')}{before}")

    def progressed(self, ledger: Ledger, running: int) -> None:
        now = self._clock()
        last = len(ledger.decided) == self._total
        if now - self._shown_at < (REDRAW_SECONDS if self._terminal else LINE_SECONDS) and not last:
            return
        self._shown_at = now
        line = self._line(ledger, running, now - self._started)
        if self._terminal:
            self._stream.write(f"\r\033[K{line}")
            self._stream.flush()
            self._line_open = True
        else:
            self._write(line)

    def ended(self, unit: str, attempt: str, error: RaybackfillError | None, lines: Sequence[Line]) -> None:
        for line in lines[:WARNINGS_MAX]:
            if line.level in ("warning", "error", "critical"):
                self._write(f"{line.level} of {line.logger}, unit {unit}: {line.message}")

    def say(self, text: str) -> None:
        self._write(text)

    def close(self) -> None:
        if self._line_open:
            self._stream.write("\n")
            self._line_open = False

    def _line(self, ledger: Ledger, running: int, seconds: float) -> str:
        done = len(ledger.decided)
        rows = ledger.rows.read - self._rows_before
        read = ledger.bytes_read - self._bytes_before
        rate = f"{amount(rows / seconds)} rows/s, {size(read / seconds)}/s" if seconds > 0 else ""
        left = (self._bytes_total - ledger.bytes_read) * seconds / read if read else 0.0
        time = f"{duration(seconds)} in all" if done == self._total else f"{duration(max(left, 0))} left"
        filled = BAR_WIDTH * done // max(self._total, 1)
        bar = "#" * filled + "." * (BAR_WIDTH - filled)
        failed = f", {len(ledger.failed)} failed" if ledger.failed else ""
        return (
            f"[{bar}] {done}/{self._total} units, {running} running{failed}; "
            f"{amount(ledger.rows.read)} rows; {rate}; {time}"
        )

    def _write(self, text: str) -> None:
        self.close()
        self._stream.write(text + "\n")
        self._stream.flush()
