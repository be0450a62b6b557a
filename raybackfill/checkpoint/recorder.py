"""Group commit: entries go to the journal in batches, one under way at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from raybackfill.checkpoint import Checkpoint
from raybackfill.checkpoint.journal import Batch, JournalWriter, Landed
from raybackfill.clock import Clock
from raybackfill.control.running.entries import Entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.errors import RaybackfillError

# Under load about one journal object a second: a crash costs the units of that second at most, and
# a run of a day has fewer than a hundred thousand objects.
COMMIT_SECONDS = 1.0


class Sent(Protocol):
    """A batch on its way."""

    def has_ended(self) -> bool: ...

    def result(self) -> Landed:
        """Waits. One of our errors where it did not come to stand in the journal, or may not have."""


class Sender(Protocol):
    """Where batches are written: in this process, or by an actor."""

    def send(self, batch: Batch) -> Sent: ...


class Recorder:
    """`hand_in` is cheap; what `landed` or `settle` gives back is durable, and stands in the ledger.

    A batch never changes once it was sent, and is sent again after an error until the journal holds
    it: what a lost reply leaves open is so decided by the journal alone.
    """

    def __init__(self, checkpoint: Checkpoint, driver: str, sender: Sender, clock: Clock) -> None:
        self._checkpoint = checkpoint
        self._driver = driver
        self._sender = sender
        self._clock = clock
        self._handed_in: list[Entry] = []
        self._batch: Batch | None = None
        self._sent: Sent | None = None
        self._sent_seconds = -COMMIT_SECONDS
        self._number = 0

    @property
    def ledger(self) -> Ledger:
        return self._checkpoint.ledger

    @property
    def is_empty(self) -> bool:
        return self._batch is None and not self._handed_in

    def use(self, sender: Sender) -> None:
        """Write by another sender from now on. What is on its way is sent again by that one: the journal
        tells whether it stood there already."""
        self._sender = sender
        self._sent = None

    def hand_in(self, *entries: Entry) -> None:
        self._handed_in += entries

    def landed(self) -> Sequence[Entry]:
        """What became durable since the last call; sends what is due, and waits for nothing."""
        if self._sent is None and self._is_due():
            self._send()
        return self._take() if self._sent is not None and self._sent.has_ended() else ()

    def settle(self) -> Sequence[Entry]:
        """Wait until all that was handed in is durable; gives it back, in order."""
        found: list[Entry] = []
        while not self.is_empty:
            if self._sent is None:
                self._send()
            found += self._take()
        return found

    def _is_due(self) -> bool:
        waits = self._batch is not None or self._handed_in
        return bool(waits) and self._clock.seconds() - self._sent_seconds >= COMMIT_SECONDS

    def _send(self) -> None:
        if self._batch is None:
            self._number += 1
            self._batch = Batch(self._driver, self._number, self._clock.now(), tuple(self._handed_in))
            self._handed_in = []
        self._sent = self._sender.send(self._batch)
        self._sent_seconds = self._clock.seconds()

    def _take(self) -> Sequence[Entry]:
        batch, sent = self._batch, self._sent
        assert batch is not None, "a batch is sent before it is taken"
        assert sent is not None, "a batch is sent before it is taken"
        # Whatever comes of it, this sending is over; without its result the batch stays to be sent again.
        self._sent = None
        landed = sent.result()
        self._batch = None
        self._checkpoint.took(batch, landed)
        return batch.entries


class LocalSender:
    """Writes at once, in this process."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer

    def begin(self, at: str) -> None:
        """Become the journal's writer (again), after another incarnation was."""
        self._writer.begin(at)

    def send(self, batch: Batch) -> Sent:
        try:
            return _Written(self._writer.append(batch), None)
        except RaybackfillError as error:
            return _Written(None, error)


class _Written:
    def __init__(self, landed: Landed | None, error: RaybackfillError | None) -> None:
        self._landed = landed
        self._error = error

    def has_ended(self) -> bool:
        return True

    def result(self) -> Landed:
        if self._landed is None:
            raise self._error or AssertionError("a batch lands or fails")
        return self._landed
