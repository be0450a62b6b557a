"""The journal: two drivers, writers that die and start again, replies that are lost, writes that land late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

EPOCH = 0

Entry = tuple[str, int, int, int]
"""Driver, incarnation of its writer, and the first and last of its batches that it holds (0: an epoch)."""


class Driver(NamedTuple):
    """`known`: how many entries its writer has read; `batch` is what it sends next, up to `last`; `acked`
    how many batches it was told to be durable. A zombie is an older writer of its own that still tries."""

    status: str = "away"
    doing: str = "reading"
    incarnation: int = 1
    known: int = 0
    acked: int = 0
    last: int = 1
    zombie: tuple[int, Entry] | None = None


class State(NamedTuple):
    journal: tuple[Entry, ...] = ()
    drivers: tuple[Driver, Driver] = (Driver(status="up"), Driver())
    late: frozenset[tuple[int, Entry]] = frozenset()
    faults: int = 0
    deleted: int = 0
    ghosts: frozenset[Entry] = frozenset()


NAMES = ("A", "B")
RULES = {
    "deletes_after_snapshot": "journal objects are deleted once a snapshot has them",
    "shares_an_actor": "two drivers write through one actor, which does not ask whose call it is",
    "compares_the_writer": "a refused entry is taken for ours if the writer is, while batches may grow",
    "acknowledges_from_memory": "a batch is acknowledged before it is durable",
    "older_writer_goes_on": "an older writer of the same driver goes on after a newer one began",
    "takes_the_run_back": "a writer that starts again does not look whether its driver was overtaken",
    "forgets_the_batch": "a batch that is sent again is not known by its number",
}
"""The wrong rules that this model can be given, each in words."""


class Journal:
    def __init__(self, rule: str = "", *, batches: int = 2, faults: int = 2) -> None:
        self._rule = rule
        self._batches = batches
        self._faults = faults
        self.bounds = f"two drivers of {batches} batches, at most {faults} faults"

    def start(self) -> State:
        return State()

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        for place, driver in enumerate(state.drivers):
            yield from self._acts(state, place, driver)
            if driver.zombie is not None:
                yield self._zombie(state, place, driver, driver.zombie)
        for number, entry in state.late:
            yield self._lands(state, number, entry)
        if self._rule == "deletes_after_snapshot" and state.deleted < len(state.journal):
            yield (
                "a snapshot is written, and the entries it has are deleted",
                state._replace(deleted=len(state.journal)),
            )

    def _acts(self, state: State, place: int, driver: Driver) -> Iterator[tuple[str, State]]:
        name = NAMES[place]
        if driver.status == "away":
            yield f"driver {name} starts", _with(state, place, driver._replace(status="up"))
        if driver.status != "up":
            return
        if driver.doing == "reading":
            yield self._reads(state, place, driver)
        elif driver.doing == "beginning":
            yield from self._creates(state, place, driver, (name, driver.incarnation, EPOCH, EPOCH))
        elif driver.acked >= self._batches:
            yield f"driver {name} has all it wanted", _with(state, place, driver._replace(status="done"))
        elif driver.doing == "knowing":
            yield self._looks_for_batch(state, place, driver)
        else:
            batch = (name, driver.incarnation, driver.acked + 1, driver.last)
            yield from self._creates(state, place, driver, batch)
        if state.faults < self._faults:
            yield (
                f"driver {name} dies",
                _with(state, place, driver._replace(status="dead", zombie=None), fault=True),
            )

    def _reads(self, state: State, place: int, driver: Driver) -> tuple[str, State]:
        name = NAMES[place]
        owners = [entry[0] for entry in state.journal if entry[2] == EPOCH]
        overtaken = name in owners and owners[-1] != name
        if overtaken and self._rule != "takes_the_run_back":
            return f"driver {name} reads that it was overtaken, and stops", _with(
                state, place, driver._replace(status="fenced")
            )
        return f"driver {name} reads {len(state.journal)} entries", _with(
            state, place, driver._replace(doing="beginning", known=len(state.journal))
        )

    def _looks_for_batch(self, state: State, place: int, driver: Driver) -> tuple[str, State]:
        """A call that is made again: the batch may stand there from before."""
        name, wanted = NAMES[place], driver.acked + 1
        there = [e for e in state.journal[: driver.known] if e[0] == name and e[2] <= wanted <= e[3]]
        if there and self._rule != "forgets_the_batch":
            return f"driver {name} finds its batch {wanted} there already", _with(
                state, place, driver._replace(acked=there[0][3], last=there[0][3] + 1)
            )
        if self._rule == "acknowledges_from_memory" and driver.acked < wanted:
            return f"driver {name} is told that batch {wanted} is done, and it is in memory", _with(
                state, place, driver._replace(acked=wanted, last=wanted + 1)
            )
        return f"driver {name} goes on with batch {wanted}", _with(
            state, place, driver._replace(doing="writing", last=wanted)
        )

    def _creates(self, state: State, place: int, driver: Driver, entry: Entry) -> Iterator[tuple[str, State]]:
        name = NAMES[place]
        what = "an epoch" if entry[2] == EPOCH else f"batch {_range(entry)}"
        if self._rule == "shares_an_actor" and entry[2] != EPOCH and entry not in state.journal:
            # The one actor knows every number, whoever asks.
            driver = driver._replace(known=len(state.journal))
        number = driver.known + 1
        after = self._written(state, number, entry)
        said = f"driver {name} makes entry {number}, {what}"
        if after is None:
            found = state.journal[number - 1]
            yield f"{said}, and is refused", self._refused(state, place, driver, entry, found)
        else:
            yield said, _with(after, place, self._acknowledged(driver, entry))
        if state.faults >= self._faults:
            return
        again = self._unsure(driver, entry)
        yield f"{said}: 503", _with(state, place, again, fault=True)
        if after is not None:
            yield f"{said}, and the reply is lost", _with(after, place, again, fault=True)
        late = state._replace(late=state.late | {(number, entry)})
        yield f"{said}: no reply, and the write is still on its way", _with(late, place, again, fault=True)
        if entry[2] != EPOCH and driver.incarnation < 2:
            reborn = driver._replace(incarnation=2, doing="reading", known=0)
            yield f"the actor of {name} dies before it writes {what}", _with(state, place, reborn, fault=True)
            if after is not None:
                yield f"the actor of {name} writes {what} and dies", _with(after, place, reborn, fault=True)
            zombie = reborn._replace(zombie=(driver.known, entry))
            yield (
                f"the actor of {name} is taken for dead as it writes {what}, and another is started",
                _with(state, place, zombie, fault=True),
            )

    def _written(self, state: State, number: int, entry: Entry) -> State | None:
        """The state with the object made, or None where its number is taken."""
        if number == len(state.journal) + 1:
            return state._replace(journal=(*state.journal, entry))
        if number <= state.deleted:
            # The number is free again, and nobody will ever read there.
            return state._replace(ghosts=state.ghosts | {entry})
        return None

    def _acknowledged(self, driver: Driver, entry: Entry) -> Driver:
        known = driver.known + 1
        if entry[2] == EPOCH:
            return driver._replace(doing="knowing", known=known)
        return driver._replace(doing="knowing", known=known, acked=entry[3], last=entry[3] + 1)

    def _refused(self, state: State, place: int, driver: Driver, entry: Entry, found: Entry) -> State:
        if self._rule == "compares_the_writer":
            is_ours = found[:2] == entry[:2] and (found[2] == EPOCH) == (entry[2] == EPOCH)
        else:
            is_ours = found == entry
        if is_ours:
            return _with(state, place, self._acknowledged(driver, entry))
        if entry[2] == EPOCH:
            return _with(state, place, driver._replace(doing="reading"))
        return _with(state, place, driver._replace(status="fenced"))

    def _unsure(self, driver: Driver, entry: Entry) -> Driver:
        """Without a reply: an epoch is begun anew, a batch is sent again as it was."""
        if entry[2] == EPOCH:
            return driver._replace(doing="reading")
        if self._rule == "compares_the_writer" and driver.last < self._batches:
            return driver._replace(last=driver.last + 1)
        return driver

    def _zombie(
        self, state: State, place: int, driver: Driver, zombie: tuple[int, Entry]
    ) -> tuple[str, State]:
        known, entry = zombie
        after = self._written(state, known + 1, entry)
        said = f"the older actor of {NAMES[place]} makes entry {known + 1}, batch {_range(entry)}"
        if after is not None:
            return said, _with(after, place, driver._replace(zombie=None))
        if self._rule == "older_writer_goes_on" and known < len(state.journal):
            return f"{said}, is refused, and tries the next number", _with(
                state, place, driver._replace(zombie=(known + 1, entry))
            )
        return f"{said}, is refused, and stops", _with(state, place, driver._replace(zombie=None))

    def _lands(self, state: State, number: int, entry: Entry) -> tuple[str, State]:
        without = state._replace(late=state.late - {(number, entry)})
        after = self._written(without, number, entry)
        said = f"the late write of {entry[0]} comes to entry {number}"
        return (said, after) if after is not None else (f"{said}, and is refused", without)

    def broken(self, state: State) -> str:
        for name, driver in zip(NAMES, state.drivers, strict=True):
            for batch in range(1, driver.acked + 1):
                standing = [
                    e for e in state.journal if e[0] == name and e[2] != EPOCH and e[2] <= batch <= e[3]
                ]
                if not standing and (driver.status in ("dead", "fenced", "done") or driver.acked > batch):
                    return f"a batch that was acknowledged to {name} stands in the journal"
                if len(standing) > 1:
                    return "a batch stands in the journal once"
        return self._written_after_takeover(state)

    def _written_after_takeover(self, state: State) -> str:
        owner, overtaken = "", set()
        for name, _, first, _ in state.journal:
            if first == EPOCH:
                overtaken |= {owner} - {name, ""}
                owner = name
            if name in overtaken:
                return f"{name}, which was overtaken, writes nothing more"
        return ""

    def goals(self, state: State) -> Iterable[str]:
        one, two = state.drivers
        if one.status == two.status == "done":
            yield "both drivers ended, one after the other"
        if "fenced" in (one.status, two.status):
            yield "a driver was fenced"
        if state.faults == self._faults and "done" in (one.status, two.status):
            yield "a driver ended in spite of all faults"
        if one.incarnation == 2 and one.status == "done":
            yield "an actor started again, and its driver ended"
        if "dead" in (one.status, two.status) and "done" in (one.status, two.status):
            yield "a driver died, and the other ended"


def _with(state: State, place: int, driver: Driver, *, fault: bool = False) -> State:
    drivers = (driver, state.drivers[1]) if place == 0 else (state.drivers[0], driver)
    return state._replace(drivers=drivers, faults=state.faults + fault)


def _range(entry: Entry) -> str:
    return str(entry[2]) if entry[2] == entry[3] else f"{entry[2]} to {entry[3]}"
