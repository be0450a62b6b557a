"""Workers with lives of their own: slow, lost, starved, wrong, doubled, late, and sometimes as they should be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from raybackfill.checkpoint.journal import Batch, JournalWriter, Landed
from raybackfill.checkpoint.recorder import Sender
from raybackfill.engines import OpenWriter, Outcome, Task, look
from raybackfill.errors import OUT_OF_MEMORY, WORKER_LOST, RaybackfillError, TransientError, UnitError
from raybackfill.flow.publish import write_receipt
from raybackfill.model import Receipt, Rows, StagedFile, Unit
from raybackfill.paths import RunPaths
from raybackfill.storage.memory import MemoryStore
from tests.simulated.world import Actor, World


@dataclass(frozen=True)
class Source:
    """The rows of each piece, by its key and row group; a row is (folder, number)."""

    rows: dict[str, list[list[tuple[str, int]]]]

    def of(self, unit: Unit) -> list[tuple[str, int]]:
        return [
            row
            for piece in unit.pieces
            for group, rows in enumerate(self.rows[piece.key])
            if piece.row_groups is None or group in piece.row_groups
            for row in rows
        ]


@dataclass
class Cursed:
    """Units that never work until they are mended, and those too large for a worker."""

    wrong: set[int] = field(default_factory=set)
    large: set[str] = field(default_factory=set)


class SimulatedEngine:
    """An Engine of a few workers. What a worker writes it writes straight into the store; what becomes of
    its reply is the world's."""

    def __init__(
        self, world: World, actor: Actor, store: MemoryStore, paths: RunPaths, source: Source, cursed: Cursed
    ) -> None:
        self._world = world
        self._actor = actor
        self._store = store
        self._paths = paths
        self._source = source
        self._cursed = cursed
        self._slots = world.random.randint(1, 4)
        self._events: list[tuple[float, int, Task]] = []
        self._again: list[Outcome] = []
        self._number = 0

    def warm(self) -> None:
        self._world.step(self._actor, "warms its workers")

    def checkpoint(self, local: Sender, open_writer: OpenWriter) -> Sender:
        return local if self._world.chance(0.3) else ActorSender(self._world, self._actor, open_writer)

    def slots(self) -> int:
        return self._slots

    def capacity(self) -> int:
        return self._slots * 2

    def start(self, task: Task) -> None:
        duration = self._world.random.uniform(0.2, 2.0)
        if self._world.chance(self._world.chances.unit / 3):
            self._world.note("straggler", f"attempt {task.attempt} of {task.unit.id} takes its time")
            duration *= 60
        self._number += 1
        heappush(self._events, (self._world.now + duration, self._number, task))

    def wait(self, seconds: float) -> list[Outcome]:
        self._world.step(self._actor, "waits for its workers")
        until = self._world.now + seconds
        found, self._again = self._again, []
        if not found and self._events and self._events[0][0] > until:
            self._world.now = until
            return []
        while self._events and (self._events[0][0] <= self._world.now or not found):
            at, _, task = heappop(self._events)
            self._world.now = max(self._world.now, at)
            found.append(self._ended(task))
        if found and self._world.chance(self._world.chances.unit / 4):
            self._world.note("doubled", f"the outcome of attempt {found[-1].task.attempt} comes twice")
            self._again.append(found[-1])
        return found

    def cancel(self, attempt: str) -> None:
        if self._world.chance(0.7):
            self._events = [event for event in self._events if event[2].attempt != attempt]

    def each(self, act: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        for item in items:
            self._world.step(self._actor, "waits for who looks")
            if self._world.chance(self._world.chances.unit / 4):
                self._world.note("look lost", f"a worker that looks at {item} is lost")
                yield item, TransientError("a worker was lost", fault=WORKER_LOST)
            else:
                yield item, look(act, item)

    def close(self) -> None:
        """Those who still run are zombies for a moment: what they wrote is there, and nobody asks."""
        for _, _, task in self._events:
            if self._world.chance(0.5):
                self._stage(task)
        self._events.clear()

    def _ended(self, task: Task) -> Outcome:
        error = self._error(task)
        if error is None:
            return Outcome(task, receipt=self._stage(task))
        if self._world.chance(0.5):
            self._stage(task)
        name = f"{error.kind}{'/' + error.fault if error.fault else ''}"
        self._world.note(error.fault or error.kind, f"attempt {task.attempt} of {task.unit.id}: {name}")
        return Outcome(task, error=error)

    def _error(self, task: Task) -> RaybackfillError | None:
        if task.unit.index in self._cursed.wrong:
            return UnitError("the data is wrong")
        if task.unit.id in self._cursed.large:
            return TransientError("no memory", fault=OUT_OF_MEMORY)
        if not self._world.chance(self._world.chances.unit):
            return None
        return self._world.random.choice(
            [
                TransientError("a worker was lost", fault=WORKER_LOST),
                TransientError("no memory", fault=OUT_OF_MEMORY),
                UnitError("bad luck"),
                TransientError("503"),
            ]
        )

    def _stage(self, task: Task) -> Receipt:
        rows = self._source.of(task.unit)
        files = []
        for index, folder in enumerate(sorted({folder for folder, _ in rows})):
            numbers = [number for where, number in rows if where == folder]
            data = json.dumps({"attempt": task.attempt, "rows": numbers}).encode()
            info = self._store.put(self._paths.staged_file(task.unit.id, task.attempt, index), data)
            assert info is not None
            files.append(StagedFile(info.key, folder, len(numbers), info.size, info.tag))
        counts = Rows(read=len(rows), out=len(rows))
        size = sum(file.size for file in files)
        receipt = Receipt(task.unit.id, task.attempt, counts, tuple(files), len(rows), size, seconds=1.0)
        write_receipt(self._store, self._paths, receipt)
        return receipt


class ActorSender:
    """The checkpoint actor: it may die at any call, before or after the batch stands in the journal, and
    the call is made again to the one that comes after it."""

    def __init__(self, world: World, actor: Actor, open_writer: OpenWriter) -> None:
        self._world = world
        self._actor = actor
        self._open_writer = open_writer
        self._writer: JournalWriter | None = None

    def send(self, batch: Batch) -> Sending:
        return Sending(self, batch)

    def append(self, batch: Batch) -> Landed:
        if self._world.chance(self._world.chances.actor_dies):
            self._die("before it wrote")
        landed = self._once(batch)
        if self._world.chance(self._world.chances.actor_dies):
            self._die(f"after it wrote batch {batch.number}, before it said so")
            landed = self._once(batch)
        return landed

    def _once(self, batch: Batch) -> Landed:
        if self._writer is None:
            self._writer = self._open_writer()
        return self._writer.append(batch)

    def _die(self, when: str) -> None:
        self._world.note("actor", f"the checkpoint actor of {self._actor.name} dies {when}")
        self._writer = None


class Sending:
    """A batch that the actor writes at some moment before its result is asked for."""

    def __init__(self, sender: ActorSender, batch: Batch) -> None:
        self._sender = sender
        self._batch = batch
        self._landed: Landed | None = None

    def has_ended(self) -> bool:
        return self._sender._world.chance(0.5)

    def result(self) -> Landed:
        return self._sender.append(self._batch)
