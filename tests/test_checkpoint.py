"""The journal: durable, numbered, one writer at a time, read back whole or refused; and its group commit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from raybackfill import checkpoint as checkpoints
from raybackfill.checkpoint import Checkpoint
from raybackfill.checkpoint.journal import Batch, Journal, JournalWriter
from raybackfill.checkpoint.recorder import COMMIT_SECONDS, LocalSender, Recorder
from raybackfill.clock import Clock
from raybackfill.control.running.entries import failure_entry, receipt_entry, split_entry, state_entry
from raybackfill.errors import FencedError, IntegrityError, TransientError, UnitError
from raybackfill.model import Receipt, Rows
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectInfo
from raybackfill.storage.memory import MemoryStore

PATHS = RunPaths("/state", "orders", "orders-20250101T000000Z-ab12")
AT = "2025-01-01T00:00:00Z"


def entry(unit: str, attempt: str = "1") -> dict[str, object]:
    return receipt_entry(Receipt(unit, attempt, Rows(read=1, out=1), (), 1, 1))


def writer(store: MemoryStore, driver: str, name: str = "w") -> JournalWriter:
    return JournalWriter(Journal(store, PATHS), driver=driver, writer=f"{driver}.{name}", host="host")


def batch(driver: str, number: int, *units: str) -> Batch:
    return Batch(driver, number, AT, tuple(entry(unit) for unit in units))


def decided(store: MemoryStore) -> set[str]:
    return set(Checkpoint(store, PATHS).ledger.decided)


def count(store: MemoryStore) -> int:
    return store.page(PATHS.journal).objects.num_rows


def test_what_is_appended_is_there_for_the_next_reader() -> None:
    store = MemoryStore()
    first = writer(store, "A")
    landed = [
        first.append(batch("A", 1, "a", "b")),
        first.append(Batch("A", 2, AT, (state_entry("staged"),))),
    ]
    assert [each.sequence for each in landed] == [2, 3]
    again = Checkpoint(store, PATHS)
    assert set(again.ledger.decided) == {"a", "b"}
    assert (again.ledger.state, again.ledger.epoch, again.last_at) == ("staged", 1, AT)


def test_an_older_driver_is_fenced_by_a_newer_one_and_never_begins_again() -> None:
    store = MemoryStore()
    old, new = writer(store, "A"), writer(store, "B")
    old.append(batch("A", 1, "a"))
    new.begin(AT)
    with pytest.raises(FencedError, match="another driver took over"):
        old.append(batch("A", 2, "b"))
    # Its actor, started again, may not take the run back either.
    with pytest.raises(FencedError):
        writer(store, "A", "restarted").append(batch("A", 2, "b"))
    new.append(batch("B", 1, "c"))
    assert decided(store) == {"a", "c"}


def test_a_newer_writer_of_the_same_driver_fences_the_older_one_and_goes_on() -> None:
    store = MemoryStore()
    old, new = writer(store, "A", "old"), writer(store, "A", "new")
    old.append(batch("A", 1, "a"))
    new.append(batch("A", 2, "b"))
    with pytest.raises(FencedError):
        old.append(batch("A", 2, "b"))
    new.append(batch("A", 3, "c"))
    assert decided(store) == {"a", "b", "c"}
    assert Checkpoint(store, PATHS).ledger.drivers == 1


def test_a_batch_that_stands_in_the_journal_is_not_written_again() -> None:
    store = MemoryStore()
    writer(store, "A", "old").append(batch("A", 1, "a"))
    restarted = writer(store, "A", "new")
    assert restarted.append(batch("A", 1, "a")).sequence == 2
    assert count(store) == 3
    assert Checkpoint(store, PATHS).ledger.rows.read == 1


def test_a_batch_of_another_driver_or_out_of_turn_is_refused() -> None:
    store = MemoryStore()
    one = writer(store, "A")
    with pytest.raises(FencedError):
        one.append(batch("B", 1, "a"))
    with pytest.raises(IntegrityError, match="batch 2 came after batch 0"):
        one.append(batch("A", 2, "a"))


def test_a_writer_that_is_beaten_before_its_epoch_tries_the_next_number() -> None:
    store = MemoryStore()
    raced = RacedStore(store, lambda: writer(store, "B").append(batch("B", 1, "b")))
    one = JournalWriter(Journal(raced, PATHS), driver="A", writer="A.w", host="host")  # type: ignore[arg-type]
    one.append(batch("A", 1, "a"))
    ledger = Checkpoint(store, PATHS).ledger
    assert set(ledger.decided) == {"a", "b"}
    assert (ledger.epoch, ledger.driver["driver"]) == (3, "A")


class RacedStore:
    """Lets somebody else act just before the first put."""

    def __init__(self, store: MemoryStore, first: Callable[[], object]) -> None:
        self._store = store
        self._first: Callable[[], object] | None = first

    def put(self, *args: Any, **options: Any) -> Any:
        act, self._first = self._first, None
        if act is not None:
            act()
        return self._store.put(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class LosesReplies(MemoryStore):
    """Creates take effect, and are then answered as the script says: "refused", as a store that meets its
    own retried request, or "error", as one whose reply is lost."""

    script = ""

    def put(
        self, key: str, data: bytes, *, create: bool = False, replaces: str | None = None
    ) -> ObjectInfo | None:
        done = super().put(key, data, create=create, replaces=replaces)
        if create and self.script == "refused":
            return None
        if create and self.script == "error":
            self.script = ""
            raise TransientError("the reply was lost")
        return done


def test_a_refused_append_that_is_our_own_counts_as_done() -> None:
    store = LosesReplies()
    store.script = "refused"
    writer(store, "A").append(batch("A", 1, "a"))
    assert decided(store) == {"a"}
    assert count(store) == 2


def test_a_batch_whose_reply_was_lost_is_sent_again_and_stands_there_once() -> None:
    store = LosesReplies()
    one = writer(store, "A")
    one.begin(AT)
    store.script = "error"
    with pytest.raises(TransientError):
        one.append(batch("A", 1, "a"))
    assert one.append(batch("A", 1, "a")).sequence == 2
    assert one.append(batch("A", 2, "b")).sequence == 3
    assert decided(store) == {"a", "b"}


def test_a_writer_that_lost_a_reply_and_then_the_run_is_fenced() -> None:
    store = LosesReplies()
    one = writer(store, "A")
    one.begin(AT)
    writer(store, "B").begin(AT)
    with pytest.raises(FencedError):
        one.append(batch("A", 1, "a"))


def damaged(store: MemoryStore, damage: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    key = PATHS.journal_entry(1)
    content = json.loads(store.read(key).to_pybytes())
    store.put(key, json.dumps(damage(content)).encode())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: {**content, "format": "journal/2"}, "format is 'journal/2'"),
        (lambda content: {**content, "entries": [{"kind": "lease"}]}, "unknown kind"),
    ],
)
def test_a_journal_of_a_later_version_is_refused(damage, message: str) -> None:  # type: ignore[no-untyped-def]
    store = MemoryStore()
    writer(store, "A").begin(AT)
    damaged(store, damage)
    with pytest.raises(IntegrityError, match=message):
        Checkpoint(store, PATHS)


def test_a_gap_is_refused() -> None:
    store = MemoryStore()
    writer(store, "A").append(batch("A", 1, "a"))
    store.delete(PATHS.journal_entry(1))
    with pytest.raises(IntegrityError, match="no entry 1"):
        Checkpoint(store, PATHS)


class Driving:
    """A driver's recorder over a store, with a clock that stands still until it is moved."""

    def __init__(self, store: MemoryStore, driver: str) -> None:
        self.seconds = 0.0
        clock = Clock(lambda: AT, lambda: "id", lambda: self.seconds, lambda seconds: None)
        self.checkpoint = Checkpoint(store, PATHS)
        local = JournalWriter(self.checkpoint.journal, driver=driver, writer=f"{driver}.local", host="h")
        self.local = LocalSender(local)
        self.recorder = Recorder(self.checkpoint, driver, self.local, clock)
        self.local.begin(AT)


def test_the_first_entry_goes_at_once_and_under_load_one_object_a_second() -> None:
    store = MemoryStore()
    driving = Driving(store, "A")
    recorder = driving.recorder
    recorder.hand_in(entry("a"))
    assert [each["unit"] for each in recorder.landed()] == ["a"]
    for unit in "bcd":
        recorder.hand_in(entry(unit))
        assert not recorder.landed()
    assert decided(store) == {"a"}
    driving.seconds += COMMIT_SECONDS
    assert [each["unit"] for each in recorder.landed()] == ["b", "c", "d"]
    assert decided(store) == {"a", "b", "c", "d"}
    assert count(store) == 3


def test_nothing_stands_in_the_ledger_before_it_is_durable() -> None:
    store = LosesReplies()
    driving = Driving(store, "A")
    store.script = "error"
    driving.recorder.hand_in(entry("a"))
    with pytest.raises(TransientError):
        driving.recorder.settle()
    assert driving.recorder.ledger.decided == {}
    driving.recorder.hand_in(entry("b"))
    assert [each["unit"] for each in driving.recorder.settle()] == ["a", "b"]
    assert driving.recorder.ledger.rows.read == 2
    assert Checkpoint(store, PATHS).ledger.rows.read == 2


def test_a_batch_that_landed_elsewhere_without_a_reply_is_counted_once() -> None:
    """The actor wrote it and died; the driver's own writer finds it there, and the batch is sent again."""
    store = LosesReplies()
    driving = Driving(store, "A")
    actor = LocalSender(writer(store, "A", "actor"))
    actor.begin(AT)
    driving.recorder.use(actor)
    store.script = "error"
    driving.recorder.hand_in(entry("a"))
    with pytest.raises(TransientError):
        driving.recorder.settle()
    driving.recorder.use(driving.local)
    driving.local.begin(AT)
    driving.recorder.settle()
    assert driving.recorder.ledger == Checkpoint(store, PATHS).ledger
    assert driving.recorder.ledger.rows.read == 1


def test_a_snapshot_shortens_the_reading_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SNAPSHOT_EVERY", 3)
    store = MemoryStore()
    driving = Driving(store, "A")
    records = [
        entry("a"),
        failure_entry("b", "1", UnitError("wrong")),
        split_entry("c", [{"unit": "d", "pieces": [[0, None]]}, {"unit": "e", "pieces": [[1, [2]]]}]),
        state_entry("stopped", reason="why", requests={"put": 2}),
        state_entry("running"),
        entry("d"),
    ]
    for record in records:
        driving.recorder.hand_in(record)
        driving.recorder.settle()
    snapshots = store.page(PATHS.snapshots).objects["key"].to_pylist()
    assert [key.rsplit("/")[-1] for key in snapshots] == ["0000000003.parquet", "0000000006.parquet"]
    short = Checkpoint(store, PATHS)
    for key in snapshots:
        store.delete(key)
    long = Checkpoint(store, PATHS)
    assert short.ledger == long.ledger == driving.recorder.ledger
    assert short.journal.heads == long.journal.heads
    assert count(store) == 7


def test_a_snapshot_of_another_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SNAPSHOT_EVERY", 1)
    store = MemoryStore()
    driving = Driving(store, "A")
    with monkeypatch.context() as patch:
        patch.setattr("raybackfill.checkpoint.snapshots.FORMAT", "snapshot/3")
        driving.recorder.hand_in(entry("a"))
        driving.recorder.settle()
    with pytest.raises(IntegrityError, match="format is 'snapshot/3'"):
        Checkpoint(store, PATHS)
