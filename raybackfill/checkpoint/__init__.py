"""The ledger made durable: what stands in the journal counts, nothing else."""

from __future__ import annotations

from raybackfill.checkpoint import snapshots
from raybackfill.checkpoint.journal import Batch, Content, Heads, Journal, Landed
from raybackfill.control.running.ledger import Ledger
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectStore
from raybackfill.storage.listing import list_objects

# Each costs the writing of the whole ledger, and saves the reading of so many objects.
SNAPSHOT_EVERY = 1000


class Checkpoint:
    """A run as its journal tells it: the newest snapshot, and what came after. Snapshots are a short
    cut and no more: no journal object is deleted for them, because their numbers are the fence."""

    def __init__(self, store: ObjectStore, paths: RunPaths) -> None:
        self._store = store
        self._paths = paths
        self.ledger = Ledger()
        self.last_at = ""
        self._followed: dict[str, int] = {}
        heads = self._newest_snapshot()
        self._snapshot_at = heads.next - 1
        self.journal = Journal(store, paths, heads, self._apply)
        self.journal.follow()

    def took(self, batch: Batch, landed: Landed) -> None:
        """A batch of this process's driver is durable: the ledger has it from now on."""
        if batch.number <= self._followed.get(batch.driver, 0):
            # Its reply was lost, and it was read back since, with all that stood there.
            return
        for entry in batch.entries:
            self.ledger.apply(entry)
        self.ledger.epoch = landed.epoch
        self.last_at = batch.at
        heads = self.journal.heads
        if landed.sequence >= heads.next:
            # It was written elsewhere, by this driver's actor, with nothing of others in between.
            heads.next, heads.epoch = landed.sequence + 1, landed.epoch
            heads.batches[batch.driver] = (batch.number, landed.sequence)
        if landed.sequence - self._snapshot_at >= SNAPSHOT_EVERY:
            self._write_snapshot(landed.sequence)

    def _apply(self, content: Content) -> None:
        for entry in content["entries"]:
            self.ledger.apply(entry)
        self.last_at = content["at"]
        self._followed[content["driver"]] = max(content["batch"], self._followed.get(content["driver"], 0))

    def _newest_snapshot(self) -> Heads:
        key = _newest_snapshot(self._store, self._paths)
        if key is None:
            return Heads()
        self.ledger, heads, self.last_at = snapshots.read(key, self._store.read(key))
        return heads

    def _write_snapshot(self, sequence: int) -> None:
        data = snapshots.written(self.ledger, self.journal.heads, self.last_at)
        # One that is there already was made from the same entries.
        self._store.put(self._paths.snapshot(sequence), data, create=True)
        self._snapshot_at = sequence


def newest_heads(store: ObjectStore, paths: RunPaths) -> Heads:
    """Where to go on reading a journal, for a writer that needs no ledger."""
    key = _newest_snapshot(store, paths)
    return Heads() if key is None else snapshots.read_heads(key, store.read(key))


def _newest_snapshot(store: ObjectStore, paths: RunPaths) -> str | None:
    keys = list_objects(store, paths.snapshots)["key"]
    newest: str | None = keys[-1].as_py() if len(keys) else None
    return newest
