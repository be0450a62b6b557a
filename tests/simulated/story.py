"""One seed's story: a table, a run or two, drivers who die, sleep and take over, and what must be at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.checkpoint import Checkpoint
from raybackfill.checkpoint.journal import Batch, Journal, JournalWriter, Landed
from raybackfill.checkpoint.recorder import LocalSender, Recorder
from raybackfill.control.planning.plan import TARGET_FILES
from raybackfill.control.proving.checks import judge
from raybackfill.control.proving.gate import Gate
from raybackfill.control.proving.verification import Verification
from raybackfill.control.running.ledger import Ledger
from raybackfill.control.running.retry import RetryPolicy
from raybackfill.driver import Job, carry_out
from raybackfill.endings.rollback import roll_back
from raybackfill.engines import Engine
from raybackfill.errors import RaybackfillError
from raybackfill.flow.evidence import Asked, Looking
from raybackfill.flow.publish import Publication
from raybackfill.flow.rollback import Published
from raybackfill.model import Piece, Unit, Version
from raybackfill.observe import Silent
from raybackfill.paths import RunPaths, TablePaths
from raybackfill.proving import verified
from raybackfill.storage import ObjectInfo
from raybackfill.table import Table
from raybackfill.table.view import repair_view
from tests.simulated.engine import Cursed, SimulatedEngine, Source
from tests.simulated.store import FailingStore, WatchedStore
from tests.simulated.world import CALM, Actor, Chances, Killed, World

TARGET = "/t/gold"
DRIVERS_MAX = 25
FOLDERS = ("dt=1", "dt=2", "dt=3")
OTHER_FOLDERS = ("dt=4", "dt=5")

Rows = dict[str, list[int]]


@dataclass(frozen=True)
class Plan:
    """What a run is to do: its units over rows of its own, and the files that it replaces."""

    paths: RunPaths
    units: tuple[Unit, ...]
    source: Source
    pinned: pa.Table
    expected: Rows


class Hears(Silent):
    """Counts why attempts were started."""

    def __init__(self, world: World) -> None:
        self._world = world

    def started(self, unit: str, attempt: str, why: str) -> None:
        self._world.happened[f"started {why}"] += 1


class Story:
    """`apart`: each run has partitions of its own, so that all of them publish. `keeps_conditions`: the store
    does for a copy; where it does not, a later command has to repair the paths. `takes_back`: at the end
    the run that published last is taken back."""

    def __init__(
        self,
        seed: int,
        *,
        runs: int = 1,
        apart: bool = False,
        keeps_conditions: bool = True,
        takes_back: bool = False,
        chances: Chances = Chances(),  # noqa: B008 (frozen)
    ) -> None:
        self.world = World(seed, chances)
        self.store = WatchedStore()
        self._apart = apart
        self._keeps_conditions = keeps_conditions
        self._takes_back = takes_back
        self._harsh = chances
        self.cursed = Cursed()
        self.acknowledged: list[tuple[str, Batch, Landed]] = []
        self.old = self._old_table()
        self.plans = [self._plan(number, self.old) for number in range(runs)]
        self.outcomes: dict[str, str | None] = {}
        self.broken: Exception | None = None

    def tell(self) -> None:
        """Drivers come and go until every run has ended; then all is looked at."""
        with _one_thread():
            self._live_through()
            if self._takes_back:
                self._take_back()
            while self.world.late:
                self.world.land()
            if not self._keeps_conditions:
                repair_view(Table(self.store, self.store, TARGET))
            self._check()

    def _old_table(self) -> pa.Table:
        rows = []
        for folder in (*FOLDERS[:2], OTHER_FOLDERS[0]):
            for index in range(self.world.random.randint(1, 3)):
                path = f"{folder}/part-{index:05d}.parquet"
                info = self.store.put(f"{TARGET}/{path}", json.dumps({"old": path, "rows": [0]}).encode())
                assert info is not None
                rows.append(
                    {"path": path, "size": info.size, "tag": info.tag, "folder": folder, "scope": "inside"}
                )
        return pa.Table.from_pylist(rows, TARGET_FILES)

    def _plan(self, number: int, pinned: pa.Table) -> Plan:
        random = self.world.random
        folders = OTHER_FOLDERS if self._apart and number else FOLDERS
        pinned = pinned.filter(pc.is_in(pinned["folder"], pa.array(folders)))
        paths = RunPaths("/t/_raybackfill", "sim", f"run-{number}")
        self.store.put(paths.run, b"{}")
        rows: dict[str, list[list[tuple[str, int]]]] = {}
        units = []
        counter = 1000 * (number + 1)
        expected: Rows = {}
        for index in range(random.randint(2, 5)):
            pieces = []
            for place in range(random.randint(1, 3)):
                key, groups = f"s{number}-{index}-{place}", []
                for _ in range(random.randint(1, 2)):
                    group = []
                    for _ in range(random.randint(1, 3)):
                        counter += 1
                        folder = folders[0] if counter % 3 else random.choice(folders)
                        group.append((folder, counter))
                        expected.setdefault(folder, []).append(counter)
                    groups.append(group)
                rows[key] = groups
                size = sum(map(len, groups))
                pieces.append(Piece(key, size, "tag", None, size, size, row_group_count=len(groups)))
            units.append(Unit(f"u{number}-{index}", index, "work", tuple(pieces)))
        return Plan(paths, tuple(units), Source(rows), pinned, expected)

    def _live_through(self) -> None:
        world = self.world
        if world.chance(0.15):
            self.cursed.wrong.add(0)
        for number in range(DRIVERS_MAX):
            open_plans = [plan for plan in self.plans if not self._has_ended(plan)]
            if not open_plans:
                return
            if number == DRIVERS_MAX // 2:
                world.chances = CALM
                self.cursed.wrong.clear()
            chosen = [world.random.choice(open_plans)]
            # At times two drivers at once: of the same run (one takes over), or of two runs.
            if world.chance(0.5):
                chosen.append(world.random.choice(open_plans))
            world.run(*(self._driver(plan) for plan in chosen))
            if self.broken is not None:
                raise self.broken
            if world.chance(0.3):
                self.cursed.wrong.clear()
        raise AssertionError("the runs did not end")

    def _take_back(self) -> None:
        """Drivers come and go until the run that published last is taken back."""
        world = self.world
        newest = Table(self.store, self.store, TARGET).newest()
        plan = next(plan for plan in self.plans if newest and plan.paths.run_id == newest.run_id)
        world.chances = self._harsh
        for number in range(DRIVERS_MAX):
            if Checkpoint(self.store, plan.paths).ledger.state == "rolled_back":
                self.outcomes[plan.paths.run_id] = "taken back"
                world.note("taken back", f"{plan.paths.run_id} is taken back")
                return
            if number == DRIVERS_MAX // 2:
                world.chances = CALM
            several = 1 + world.chance(0.5)
            world.run(*(self._driver(plan, self._roll_back) for _ in range(several)))
            if self.broken is not None:
                raise self.broken
        raise AssertionError("the run was not taken back")

    def _has_ended(self, plan: Plan) -> bool:
        return self.outcomes.get(plan.paths.run_id) in ("published", "refused")

    def _driver(self, plan: Plan, act: Callable[[Plan, Actor], Any] | None = None) -> Actor:
        driver = f"driver-{self.world.new_id()}"
        return Actor(driver, lambda actor: self._drive(plan, actor, act or self._carry_out))

    def _drive(self, plan: Plan, actor: Actor, act: Callable[[Plan, Actor], Any]) -> None:
        """Whatever it meets is taken down: a thread has nobody to raise it to."""
        world, run_id = self.world, plan.paths.run_id
        world.note("driver", f"{actor.name} takes up {run_id}")
        try:
            ended = act(plan, actor)
        except Killed:
            return
        except RaybackfillError as error:
            world.note(error.kind, f"{actor.name} ends: {error.kind}: {error.message}")
            return
        except Exception as error:
            world.note("broken", f"{actor.name} met what cannot be: {type(error).__name__}: {error}")
            self.broken = self.broken or error
            return
        # Only the other run's publish is a reason to be refused for good.
        refused = isinstance(ended, Gate) and ended.name == "target unchanged"
        self.outcomes[run_id] = "refused" if refused else "published" if not isinstance(ended, Gate) else None
        world.note("ended", f"{actor.name} ends: {run_id} is {self.outcomes[run_id]}")

    def _begin(self, plan: Plan, actor: Actor, store: Any, checkpoint: Checkpoint) -> LocalSender:
        clock = self.world.clock(actor)
        writer = JournalWriter(checkpoint.journal, driver=actor.name, writer=clock.new_id(), host="sim")
        local = LocalSender(writer)
        local.begin(clock.now())
        self.world.note("epoch", f"{actor.name} begins")
        self._hear(checkpoint, actor)
        return local

    def _roll_back(self, plan: Plan, actor: Actor) -> Any:
        store = self._store_of(actor)
        clock = self.world.clock(actor)
        checkpoint = Checkpoint(store, plan.paths)
        if checkpoint.ledger.state == "rolled_back":
            return None
        local = self._begin(plan, actor, store, checkpoint)
        recorder = Recorder(checkpoint, actor.name, local, clock)
        published = Published(plan.paths, "plan", 0, _writes_empty(store))
        refused = roll_back(recorder, Table(store, store, TARGET), published, lambda text: None, clock.now())
        assert refused is None, f"nothing stands in the way of a rollback: {refused}"
        return None

    def _store_of(self, actor: Actor) -> Any:
        return FailingStore(self.store, self.world, actor, keeps_conditions=self._keeps_conditions)

    def _carry_out(self, plan: Plan, actor: Actor) -> Any:
        store = self._store_of(actor)
        clock = self.world.clock(actor)
        checkpoint = Checkpoint(store, plan.paths)
        if checkpoint.ledger.state == "published":
            return None
        local = self._begin(plan, actor, store, checkpoint)

        def opened() -> JournalWriter:
            journal = Journal(store, plan.paths)
            return JournalWriter(journal, driver=actor.name, writer=clock.new_id(), host="sim")

        job = Job(
            units=lambda: iter(plan.units),
            units_total=len(plan.units),
            whole_partitions=False,
            retries=RetryPolicy(attempts=4, breaker=1.0),
            table=Table(store, store, TARGET),
            publication=lambda ledger: self._publication(store, plan, ledger),
            verification=lambda engine, ledger: self._verification(plan, engine, ledger),
            recorder=Recorder(checkpoint, actor.name, local, clock),
            local=local,
            open_writer=opened,
            state_store=store,
            requests=dict,
        )
        engine = SimulatedEngine(self.world, actor, self.store, plan.paths, plan.source, self.cursed)
        return carry_out(
            job,
            lambda: engine,
            clock,
            Hears(self.world),
            publish=True,
            retry_failed=True,
            stop_asked=lambda: False,
        )

    def _hear(self, checkpoint: Checkpoint, actor: Actor) -> None:
        """Take down what is acknowledged to a driver: it must stand in the journal for ever."""
        took = checkpoint.took

        def heard(batch: Batch, landed: Landed) -> None:
            kinds = ", ".join(entry["kind"] for entry in batch.entries)
            self.world.note(
                "batch", f"{actor.name}'s batch {batch.number} stands as {landed.sequence}: {kinds}"
            )
            for entry in batch.entries:
                self.world.happened[f"entry {entry['kind']}"] += 1
            took(batch, landed)
            self.acknowledged.append((actor.name, batch, landed))

        checkpoint.took = heard  # type: ignore[method-assign]

    def _publication(self, store: Any, plan: Plan, ledger: Ledger) -> Publication:
        units = {leaf: ledger.decided[leaf] for unit in plan.units for leaf in ledger.leaves(unit.id)}
        return Publication(plan.paths, "plan", 0, "remove", plan.pinned, units, _writes_empty(store))

    def _verification(self, plan: Plan, engine: Engine, ledger: Ledger) -> Verification:
        """What the gate asks, by workers that only look: receipts, and files without their rows."""
        looking = Looking(self.store, self.store, plan.paths, pa.schema([]), dict, lambda table: table)  # type: ignore[arg-type]
        asked = [
            Asked(leaf, ledger.decided[leaf], ledger.seals[leaf], read_back=False)
            for unit in plan.units
            for leaf in ledger.leaves(unit.id)
        ]
        return verified(engine, lambda each: judge(looking.at(each)), asked, "none")

    def _check(self) -> None:
        outcomes = [self.outcomes[plan.paths.run_id] for plan in self.plans]
        published = [plan for plan, said in zip(self.plans, outcomes, strict=True) if said != "refused"]
        standing = [plan for plan, said in zip(self.plans, outcomes, strict=True) if said == "published"]
        assert len(published) == (len(self.plans) if self._apart else 1), (
            "of runs planned over the same partitions one publishes, the others are refused"
        )
        newest = Table(self.store, self.store, TARGET).newest()
        assert newest is not None
        assert newest.number == 2 * len(published) - len(standing), (
            "each makes one version, and one to go back"
        )
        check_table(self.store, {**self._untouched(standing), **_together(standing)}, newest)
        for plan in published:
            check_previous(self.store, plan)
            ledger = Checkpoint(self.store, plan.paths).ledger
            total = sum(map(len, plan.expected.values()))
            assert (ledger.rows.read, ledger.rows.out) == (total, total), "each row is counted once"
        for plan in self.plans:
            check_journal(self.store, plan, self.acknowledged)

    def _untouched(self, published: list[Plan]) -> Rows:
        """What lies in the folders of the old table that nobody was to replace."""
        touched = {row["folder"] for plan in published for row in plan.pinned.to_pylist()}
        folders = self.old["folder"].to_pylist()
        left = set(folders) - touched
        return {folder: [0] * folders.count(folder) for folder in left}


def _writes_empty(store: Any) -> Callable[[str, str], ObjectInfo]:
    def write_empty(key: str, stamp: str) -> ObjectInfo:
        made = store.put(key, json.dumps({"attempt": stamp, "rows": []}).encode())
        assert made is not None, "only a condition is answered with None"
        return made

    return write_empty


def _together(plans: list[Plan]) -> Rows:
    return {folder: rows for plan in plans for folder, rows in plan.expected.items()}


def check_table(store: WatchedStore, expected: Rows, newest: Version) -> None:
    """The rows by the newest version, and by the paths; nothing else lies there."""
    keys = store.page(f"{TARGET}/").objects["key"].to_pylist()
    assert sorted(TablePaths(TARGET).file(file.path) for file in newest.files) == keys
    found: Rows = {}
    for key in keys:
        folder, rows = key.split("/")[-2], json.loads(store.read(key).to_pybytes())["rows"]
        if rows:
            found[folder] = found.get(folder, []) + rows
    assert {folder: sorted(rows) for folder, rows in found.items()} == expected, "each row is there once"


def check_previous(store: WatchedStore, plan: Plan) -> None:
    version = Table(store, store, TARGET).version_of(plan.paths.run_id, 0)
    assert version is not None
    for file in version.retired:
        kept = store.head(plan.paths.previous(version.number, file.path))
        assert kept is not None and kept.tag == file.tag, f"{file.path} was replaced and not kept"


def check_journal(store: WatchedStore, plan: Plan, acknowledged: list[tuple[str, Batch, Landed]]) -> None:
    contents: list[Any] = []
    Journal(store, plan.paths, seen=contents.append).follow()
    batches = [(content["driver"], content["batch"]) for content in contents if content["batch"]]
    assert len(batches) == len(set(batches)), "no batch stands twice"
    standing = {(content["driver"], content["batch"]): content for content in contents}
    drivers = {content["driver"] for content in contents}
    for driver, batch, landed in acknowledged:
        if driver in drivers:
            content = standing.get((driver, batch.number))
            assert content is not None, f"batch {batch.number} of {driver} was acknowledged and is not there"
            assert content["entries"] == json.loads(json.dumps(list(batch.entries)))
            assert content["sequence"] == landed.sequence
    owner, overtaken = "", set()
    for content in contents:
        driver = content["driver"]
        if any(entry["kind"] == "epoch" for entry in content["entries"]):
            overtaken |= {owner} - {driver}
            owner = driver
        assert driver not in overtaken, f"{driver} wrote after it was overtaken"


class _Serial:
    """Stands for a pool of threads: only one thread may act."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> _Serial:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, act: Any, *arguments: Any) -> Any:
        result = act(*arguments)

        class Done:
            def result(self) -> Any:
                return result

            def cancel(self) -> None:
                pass

        return Done()


def _one_thread() -> ExitStack:
    stack = ExitStack()
    for module in ("raybackfill.storage.listing", "raybackfill.storage.parallel"):
        stack.enter_context(patch(f"{module}.ThreadPoolExecutor", _Serial))
    return stack


def stories(first: int, count: int) -> Iterator[tuple[int, Story]]:
    """Two seeds of six have two runs over the same partitions, and one two runs apart; with each fourth one
    the store ignores what a copy is only to replace, and with each fifth the last run is taken back."""
    for seed in range(first, first + count):
        apart = seed % 6 == 4
        runs = 2 if seed % 3 == 2 or apart else 1
        yield (
            seed,
            Story(seed, runs=runs, apart=apart, keeps_conditions=seed % 4 != 3, takes_back=seed % 5 == 1),
        )
