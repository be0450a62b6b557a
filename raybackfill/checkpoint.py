"""The ledger made durable: the journal, numbered create-once objects that are record, lock and fence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from raybackfill.control.running.ledger import Ledger
from raybackfill.errors import FencedError, IntegrityError
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectStore
from raybackfill.storage.listing import list_objects

FORMAT = "journal/1"
PARALLEL = 16


class Checkpoint:
    """What stands in the journal counts, nothing else. `append` returns when its entries are durable.

    A writer has an ID of its own and begins with an epoch record. When its number is taken, it was
    beaten: before its epoch record it tries the next number, after it a foreign entry fences it.
    """

    def __init__(self, store: ObjectStore, paths: RunPaths) -> None:
        self._store = store
        self._paths = paths
        self._next = 1
        self._writer = ""
        self.ledger = Ledger()
        self.last_at = ""
        self._catch_up(list_objects(store, paths.journal)["key"])

    def begin(self, writer: str, host: str, at: str) -> None:
        """Become the journal's writer: from now on another writer's entry fences this one."""
        entry = {"kind": "epoch", "writer": writer, "host": host, "at": at}
        while not self._create(writer, [entry], at):
            self._catch_up(pa.array([self._paths.journal_entry(self._next)]))
        self._writer = writer

    def append(self, entries: Sequence[Mapping[str, Any]], at: str) -> None:
        """Make the entries durable, in one object. FencedError where another writer is ahead."""
        if not self._writer:
            raise IntegrityError("a journal is written only after begin()")
        if entries and not self._create(self._writer, entries, at):
            raise FencedError(
                "another driver took over this run",
                where=self._paths.root,
                next=f"look at it with: raybackfill status {self._paths.root}",
            )

    def _create(self, writer: str, entries: Sequence[Mapping[str, Any]], at: str) -> bool:
        content = {
            "format": FORMAT,
            "sequence": self._next,
            "writer": writer,
            "at": at,
            "entries": list(entries),
        }
        key = self._paths.journal_entry(self._next)
        data = json.dumps(content, separators=(",", ":")).encode()
        if self._store.put(key, data, create=True) is None and self._store.read(key).to_pybytes() != data:
            return False
        self._apply(content)
        return True

    def _catch_up(self, keys: Any) -> None:
        """Apply what others wrote. A gap in the numbers cannot be: each was made after the one before."""
        names = keys.to_pylist()
        with ThreadPoolExecutor(PARALLEL) as pool:
            found = pool.map(lambda key: self._store.read(key).to_pybytes(), names)
            self._apply_all(zip(names, found, strict=True))

    def _apply_all(self, entries: Iterable[tuple[str, bytes]]) -> None:
        for key, data in entries:
            if key != self._paths.journal_entry(self._next):
                raise IntegrityError(f"the journal has no entry {self._next}", where=self._paths.journal)
            content = json.loads(data)
            if content.get("format") != FORMAT:
                raise IntegrityError(
                    f"the journal's format is {content.get('format')!r}, this version reads {FORMAT}",
                    where=key,
                    next="use the version of raybackfill that wrote it",
                )
            self._apply(content)

    def _apply(self, content: Mapping[str, Any]) -> None:
        for entry in content["entries"]:
            self.ledger.apply(entry)
        self.last_at = content["at"]
        self._next += 1
