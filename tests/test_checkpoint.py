"""The journal: durable, numbered, one writer at a time, read back whole or refused."""

from __future__ import annotations

import json

import pytest

from raybackfill.checkpoint import Checkpoint
from raybackfill.control.running.ledger import receipt_entry, state_entry
from raybackfill.errors import FencedError, IntegrityError
from raybackfill.model import Receipt, Rows
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectInfo
from raybackfill.storage.memory import MemoryStore

PATHS = RunPaths("/state", "orders", "orders-20250101T000000Z-ab12")
AT = "2025-01-01T00:00:00Z"


def entry(unit: str, attempt: str = "1") -> dict[str, object]:
    return receipt_entry(Receipt(unit, attempt, Rows(read=1, out=1), (), 1, 1))


def begun(store: MemoryStore, writer: str) -> Checkpoint:
    checkpoint = Checkpoint(store, PATHS)
    checkpoint.begin(writer, "host", AT)
    return checkpoint


def test_what_is_appended_is_there_for_the_next_reader() -> None:
    store = MemoryStore()
    first = begun(store, "w1")
    first.append([entry("a"), entry("b")], AT)
    first.append([state_entry("staged")], AT)
    again = Checkpoint(store, PATHS)
    assert set(again.ledger.decided) == {"a", "b"}
    assert (again.ledger.state, again.ledger.epoch) == ("staged", 1)


def test_an_older_writer_is_fenced_by_a_newer_one() -> None:
    store = MemoryStore()
    old = begun(store, "w1")
    old.append([entry("a")], AT)
    new = begun(store, "w2")
    assert new.ledger.epoch == 2
    with pytest.raises(FencedError, match="another driver took over"):
        old.append([entry("b")], AT)
    new.append([entry("b", "2")], AT)
    assert Checkpoint(store, PATHS).ledger.decided["b"].attempt == "2"


def test_a_writer_that_is_beaten_before_its_epoch_tries_the_next_number() -> None:
    store = MemoryStore()
    one, two = Checkpoint(store, PATHS), Checkpoint(store, PATHS)
    one.begin("w1", "host", AT)
    two.begin("w2", "host", AT)
    assert two.ledger.epoch == 2
    with pytest.raises(FencedError):
        one.append([entry("a")], AT)


class LosesReplies(MemoryStore):
    """Puts take effect, and then answer like a store that refuses its own retried request."""

    def put(
        self, key: str, data: bytes, *, create: bool = False, replaces: str | None = None
    ) -> ObjectInfo | None:
        super().put(key, data, create=create, replaces=replaces)
        return None if create else ObjectInfo(key, 0, "")


def test_a_refused_append_that_is_our_own_counts_as_done() -> None:
    store = LosesReplies()
    checkpoint = begun(store, "w1")
    checkpoint.append([entry("a")], AT)
    assert set(Checkpoint(store, PATHS).ledger.decided) == {"a"}
    assert checkpoint.ledger.epoch == 1


def test_nothing_is_written_before_begin_and_nothing_for_no_entries() -> None:
    store = MemoryStore()
    with pytest.raises(IntegrityError, match="begin"):
        Checkpoint(store, PATHS).append([entry("a")], AT)
    begun(store, "w1").append([], AT)
    assert store.page(PATHS.journal).objects.num_rows == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: {**content, "format": "journal/2"}, "format is 'journal/2'"),
        (lambda content: {**content, "entries": [{"kind": "snapshot"}]}, "unknown kind"),
    ],
)
def test_a_journal_of_a_later_version_is_refused(damage, message: str) -> None:  # type: ignore[no-untyped-def]
    store = MemoryStore()
    begun(store, "w1")
    content = json.loads(store.read(PATHS.journal_entry(1)).to_pybytes())
    store.put(PATHS.journal_entry(1), json.dumps(damage(content)).encode())
    with pytest.raises(IntegrityError, match=message):
        Checkpoint(store, PATHS)


def test_a_gap_is_refused() -> None:
    store = MemoryStore()
    begun(store, "w1").append([entry("a")], AT)
    store.delete(PATHS.journal_entry(1))
    with pytest.raises(IntegrityError, match="no entry 1"):
        Checkpoint(store, PATHS)
