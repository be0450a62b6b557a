"""Publishing: versions made once, paths as their view, drivers that sleep in the middle of it, and wake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

RULES = {
    "fence_checked_once": "a fence is looked at once, before the paths are written",
    "fence_checked_each_time": "a fence is looked at before each path is written",
    "surplus_is_deleted": "a surplus path is deleted, instead of overwritten by a unique empty file",
    "backup_taken_again": "a publish that is repeated keeps what lies there now as the previous file",
    "rollback_brings_the_same_tag": "a rollback puts the same bytes there again, with the same tag",
}

PATHS = ("p0", "p1")
NONE = "-"

OLD = ("o0", NONE)
"""What the paths hold before: one file, and none."""

FIRST = ("a0", "a1")
"""What the first run's version wants of them."""


class Publisher(NamedTuple):
    """One driver that publishes: `at` is the path it is at, `saw` what it read there before it acts. A newer
    run first brings the paths to the version before its own (`finishing`), whoever's that is."""

    status: str = "away"
    finishing: bool = False
    version: int = 0
    at: int = 0
    doing: str = "looking"
    saw: str = ""


class State(NamedTuple):
    versions: tuple[str, ...] = ()
    paths: tuple[str, str] = OLD
    kept: frozenset[tuple[int, str, str]] = frozenset()
    publishers: tuple[Publisher, ...] = ()
    crashes: int = 0


@dataclass(frozen=True)
class Who:
    """A publisher: its name, its run, and what its run's version wants of each path."""

    name: str
    run: str
    wants: tuple[str, str]
    after: int
    """It begins when so many versions stand: its plan saw them."""


def cast(rule: str) -> tuple[Who, ...]:
    """Two drivers of the first run, one of which may sleep, and a newer run, or a rollback, after it."""
    surplus = NONE if rule == "surplus_is_deleted" else "e1"
    newer = ("b0", surplus)
    if rule == "rollback_brings_the_same_tag":
        newer = (OLD[0], "e1")
    return (
        Who("driver A of the first run", "first", FIRST, 0),
        Who("driver B of the first run", "first", FIRST, 0),
        Who("the newer run", "newer", newer, 1),
    )


class Publishing:
    """`conditional`: each replacement of a path holds only while the path has the tag that was read. Stores
    without that can bring one old file back into the paths, until `repairs` (any later command that
    publishes) has gone over them."""

    def __init__(self, rule: str = "", *, conditional: bool = True, repairs: bool = False) -> None:
        self._rule = rule
        self._who = cast(rule)
        self._fenced = rule.startswith("fence_")
        self._conditional = conditional and not self._fenced
        self._repairs = repairs
        self.bounds = "two drivers of one run, one of a newer run, two paths, one crash"

    def start(self) -> State:
        return State(publishers=tuple(Publisher() for _ in self._who))

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        for place, publisher in enumerate(state.publishers):
            who = self._who[place]
            if publisher.status == "away" and len(state.versions) >= who.after:
                begun = Publisher(status="up", finishing=self._finishes(who))
                yield f"{who.name} begins", _with(state, place, begun)
            if publisher.status == "up":
                yield from self._acts(state, place, publisher, who)
                if state.crashes < 1:
                    again = Publisher(status="up", finishing=self._finishes(who))
                    yield (
                        f"{who.name} dies, and is resumed",
                        _with(state, place, again, crashes=state.crashes + 1),
                    )
        if self._repairs and self._rests(state) and state.paths != self._wanted(state):
            yield "a later command repairs the paths", state._replace(paths=self._wanted(state))

    def _finishes(self, who: Who) -> bool:
        return who.run == "newer" and not self._fenced

    def _acts(self, state: State, place: int, publisher: Publisher, who: Who) -> Iterator[tuple[str, State]]:
        if publisher.finishing and who.run in state.versions:
            # Another driver of its run was faster: the paths are that version's.
            yield (
                f"{who.name} sees its version",
                _with(state, place, publisher._replace(finishing=False, at=0)),
            )
        elif publisher.finishing and publisher.at == len(PATHS):
            yield self._has_finished(state, place, publisher, who)
        elif publisher.version == 0 and not publisher.finishing:
            yield self._commits(state, place, publisher, who)
        elif publisher.at == len(PATHS):
            yield self._ends(state, place, publisher, who)
        elif publisher.doing == "looking":
            yield self._looks(state, place, publisher, who)
        elif publisher.doing == "keeping":
            yield self._keeps(state, place, publisher, who)
        else:
            yield self._replaces(state, place, publisher, who)

    def _commits(self, state: State, place: int, publisher: Publisher, who: Who) -> tuple[str, State]:
        if who.run in state.versions:
            number = state.versions.index(who.run) + 1
            return f"{who.name} finds version {number} of its run", _with(
                state, place, publisher._replace(version=number)
            )
        number = len(state.versions) + 1
        made = state._replace(versions=(*state.versions, who.run))
        what = "takes the fence, as number" if self._fenced else "makes version"
        return f"{who.name} {what} {number}", _with(made, place, publisher._replace(version=number))

    def _looks(self, state: State, place: int, publisher: Publisher, who: Who) -> tuple[str, State]:
        path, there = PATHS[publisher.at], state.paths[publisher.at]
        wanted = self._wants(publisher, who)[publisher.at]
        if self._rule == "fence_checked_each_time" and self._is_newer_there(state, publisher):
            return f"{who.name} looks at the fence, and stops", _with(
                state, place, publisher._replace(status="overtaken")
            )
        if there == wanted:
            following = publisher._replace(at=publisher.at + 1)
            said = f"{who.name} sees that {path} is as it should be"
            if self._rule == "backup_taken_again" and publisher.version == 1:
                kept = {each for each in state.kept if each[:2] != (publisher.version, path)}
                state = state._replace(kept=frozenset(kept | {(publisher.version, path, there)}))
                said += ", and keeps it once more"
            return said, _with(state, place, following)
        if there not in self._replaced(publisher, who)[publisher.at] and not self._fenced:
            return f"{who.name} finds something newer at {path}, and stops", _with(
                state, place, publisher._replace(status="overtaken")
            )
        return f"{who.name} reads {path}: {there}", _with(
            state, place, publisher._replace(doing="keeping", saw=there)
        )

    def _replaced(self, publisher: Publisher, who: Who) -> tuple[set[str], ...]:
        """What may lie at each path before: what the version retires."""
        if who.run == "first" or publisher.finishing:
            return tuple({old} for old in OLD)
        return tuple({first} for first in FIRST)

    def _wants(self, publisher: Publisher, who: Who) -> tuple[str, str]:
        return FIRST if publisher.finishing else who.wants

    def _has_finished(self, state: State, place: int, publisher: Publisher, who: Who) -> tuple[str, State]:
        """A version is made only over paths that show the one before."""
        if state.paths != FIRST:
            return f"{who.name} looks once more, and begins again", _with(
                state, place, publisher._replace(at=0)
            )
        return f"{who.name} sees the paths show the version before", _with(
            state, place, publisher._replace(finishing=False, at=0)
        )

    def _keeps(self, state: State, place: int, publisher: Publisher, who: Who) -> tuple[str, State]:
        path = PATHS[publisher.at]
        # Who finishes another's publish keeps what that one's version retires, where that one keeps it.
        key = (1 if publisher.finishing else publisher.version, path)
        if publisher.saw != NONE and not any(each[:2] == key for each in state.kept):
            state = state._replace(kept=state.kept | {(*key, publisher.saw)})
        return f"{who.name} keeps {publisher.saw} of {path}", _with(
            state, place, publisher._replace(doing="replacing")
        )

    def _replaces(self, state: State, place: int, publisher: Publisher, who: Who) -> tuple[str, State]:
        at, wanted = publisher.at, self._wants(publisher, who)[publisher.at]
        if self._conditional and state.paths[at] != publisher.saw:
            return f"{who.name} is refused at {PATHS[at]}: it is no longer {publisher.saw}", _with(
                state, place, publisher._replace(doing="looking", saw="")
            )
        paths = (wanted, state.paths[1]) if at == 0 else (state.paths[0], wanted)
        following = publisher._replace(at=at + 1, doing="looking", saw="")
        return f"{who.name} puts {wanted} at {PATHS[at]}", _with(
            state._replace(paths=paths), place, following
        )

    def _ends(self, state: State, place: int, publisher: Publisher, who: Who) -> tuple[str, State]:
        """Look once more: what a newer version does not contradict must be there."""
        if not self._is_newer_there(state, publisher) and state.paths != who.wants and not self._fenced:
            return f"{who.name} looks once more, and begins again", _with(
                state, place, publisher._replace(at=0)
            )
        return f"{who.name} has published version {publisher.version}", _with(
            state, place, publisher._replace(status="done")
        )

    def _is_newer_there(self, state: State, publisher: Publisher) -> bool:
        return len(state.versions) > publisher.version

    def _rests(self, state: State) -> bool:
        return all(each.status not in ("up", "away") for each in state.publishers)

    def _wanted(self, state: State) -> tuple[str, str]:
        newest = state.versions[-1]
        return next(who.wants for who in self._who if who.run == newest)

    def broken(self, state: State) -> str:
        for number, path, content in state.kept:
            if not self._fenced and number == 1 and content != OLD[PATHS.index(path)]:
                return "what a version retires is kept as it was"
        if not self._fenced and len(set(state.versions)) != len(state.versions):
            return "a run makes one version"
        is_done = any(
            each.status == "done" and each.version == len(state.versions) for each in state.publishers
        )
        if self._repairs or not (self._rests(state) and is_done):
            return ""
        return "" if state.paths == self._wanted(state) else "the paths show the newest version"

    def goals(self, state: State) -> Iterable[str]:
        statuses = [each.status for each in state.publishers]
        if statuses.count("done") == len(statuses):
            yield "all ended"
        if self._rests(state) and state.crashes:
            yield "all came to rest after a crash"
        if "overtaken" in statuses and self._rests(state):
            yield "a sleeper found itself overtaken"
        if self._rests(state) and state.paths == self._wanted(state):
            yield "the paths showed the newest version"


def _with(state: State, place: int, publisher: Publisher, *, crashes: int | None = None) -> State:
    publishers = list(state.publishers)
    publishers[place] = publisher
    return state._replace(publishers=tuple(publishers), crashes=state.crashes if crashes is None else crashes)
