"""The journal: numbered create-once objects that are record, lock and fence in one, without clocks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raybackfill.control.running.entries import Entry, epoch_entry
from raybackfill.errors import FencedError, IntegrityError
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectStore
from raybackfill.storage.listing import list_objects
from raybackfill.storage.parallel import in_parallel

FORMAT = "journal/1"
READ_AT_ONCE = 200

Content = Mapping[str, Any]
"""What one journal object says: format, sequence, driver, writer, batch, at, entries."""


@dataclass
class Heads:
    """What a writer must know of a journal: the next number, whose epoch is the newest, and of each
    driver that ever began its last batch and the number of the object that holds it."""

    next: int = 1
    epoch: int = 0
    owner: str = ""
    batches: dict[str, tuple[int, int]] = field(default_factory=dict)

    def advance(self, content: Content) -> None:
        sequence, driver = content["sequence"], content["driver"]
        self.next = sequence + 1
        if any(entry["kind"] == "epoch" for entry in content["entries"]):
            self.epoch, self.owner = sequence, driver
        last, at = self.batches.get(driver, (0, sequence))
        self.batches[driver] = (content["batch"], sequence) if content["batch"] else (last, at)


@dataclass(frozen=True)
class Batch:
    """Entries that become durable together. A driver counts its batches from 1, so that one which is
    sent twice stands in the journal once; its content never changes once it was sent."""

    driver: str
    number: int
    at: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Landed:
    """Where a batch stands in the journal, and the epoch it was written in."""

    sequence: int
    epoch: int


class Journal:
    """Reads what stands in the journal, and makes its next object. `seen` is told of each object that
    others wrote, once, in order."""

    def __init__(
        self,
        store: ObjectStore,
        paths: RunPaths,
        heads: Heads | None = None,
        seen: Callable[[Content], None] = lambda content: None,
    ) -> None:
        self._store = store
        self._paths = paths
        self.seen = seen
        self.heads = heads or Heads()

    @property
    def root(self) -> str:
        return self._paths.root

    def follow(self) -> None:
        """Read what came since. A gap in the numbers cannot be: each was made after the one before."""
        start = self._paths.journal_entry(self.heads.next)
        keys = list_objects(self._store, self._paths.journal)["key"].to_pylist()
        for key, content in self._read([key for key in keys if key >= start]):
            if key != self._paths.journal_entry(self.heads.next):
                raise IntegrityError(f"the journal has no entry {self.heads.next}", where=self._paths.journal)
            self.heads.advance(content)
            self.seen(content)

    def create(self, content: Content) -> bool:
        """Make the next object. True where it stands there now, made by this call or by an earlier one
        whose reply was lost: the whole object is compared, because a writer's name alone would take
        an older try for this one."""
        key = self._paths.journal_entry(content["sequence"])
        data = json.dumps(content, separators=(",", ":")).encode()
        if self._store.put(key, data, create=True) is None and self._store.read(key).to_pybytes() != data:
            return False
        self.heads.advance(content)
        return True

    def _read(self, keys: Sequence[str]) -> Iterator[tuple[str, Content]]:
        # Some at a time: a long journal is many objects, and each is read and forgotten.
        for start in range(0, len(keys), READ_AT_ONCE):
            some = keys[start : start + READ_AT_ONCE]
            found = in_parallel(lambda key: self._store.read(key).to_pybytes(), some)
            yield from ((key, _parsed(key, data)) for key, data in zip(some, found, strict=True))


def _parsed(key: str, data: bytes) -> Content:
    content: Content = json.loads(data)
    if content.get("format") != FORMAT:
        raise IntegrityError(
            f"the journal's format is {content.get('format')!r}, this version reads {FORMAT}",
            where=key,
            next="use the version of raybackfill that wrote it",
        )
    return content


class JournalWriter:
    """One incarnation of a driver's writer: in the driver's process, or in its checkpoint actor.

    It begins with an epoch record. From then on whatever else takes its number fences it: another
    driver's entry, or a newer incarnation of its own driver. A driver that was overtaken by another
    never begins again.
    """

    def __init__(self, journal: Journal, *, driver: str, writer: str, host: str) -> None:
        self._journal = journal
        self._driver = driver
        self._writer = writer
        self._host = host
        self._has_begun = False

    def begin(self, at: str) -> None:
        """Become the journal's writer. Before its epoch record stands, a taken number only means that
        others were faster."""
        journal, heads = self._journal, self._journal.heads
        while True:
            journal.follow()
            if self._driver in heads.batches and heads.owner != self._driver:
                raise self._fenced()
            entry = epoch_entry(heads.next, driver=self._driver, writer=self._writer, host=self._host, at=at)
            content = self._content(0, at, [entry])
            if journal.create(content):
                break
        self._has_begun = True
        journal.seen(content)

    def append(self, batch: Batch) -> Landed:
        """Make the batch durable, in one object; one that stands there already is left at that.
        FencedError where another writer is ahead. After any other error the batch may stand there or
        not: the same one is to be sent again before any other."""
        if batch.driver != self._driver:
            raise self._fenced()
        if not self._has_begun:
            self.begin(batch.at)
        last, sequence = self._journal.heads.batches[self._driver]
        if batch.number <= last:
            return Landed(sequence, self._journal.heads.epoch)
        if batch.number != last + 1:
            raise IntegrityError(f"batch {batch.number} came after batch {last}", where=self._journal.root)
        content = self._content(batch.number, batch.at, batch.entries)
        if not self._journal.create(content):
            raise self._fenced()
        return Landed(content["sequence"], self._journal.heads.epoch)

    def _content(self, batch: int, at: str, entries: Sequence[Entry]) -> Content:
        return {
            "format": FORMAT,
            "sequence": self._journal.heads.next,
            "driver": self._driver,
            "writer": self._writer,
            "batch": batch,
            "at": at,
            "entries": list(entries),
        }

    def _fenced(self) -> FencedError:
        return FencedError(
            "another driver took over this run",
            where=self._journal.root,
            next=f"look at it with: raybackfill status {self._journal.root}",
        )
