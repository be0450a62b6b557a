"""Brings the paths under a target to a version: they are its view, checked and repaired by every command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from raybackfill.checkpoint import Checkpoint
from raybackfill.control.proving.slots import Content, Slot, Step, came_back, next_step, not_shown, slots
from raybackfill.control.running.ledger import FINAL
from raybackfill.errors import IntegrityError, TransientError
from raybackfill.model import TableFile, Version
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectInfo
from raybackfill.storage.parallel import in_parallel
from raybackfill.storage.transfer import copy_object
from raybackfill.table import Table
from raybackfill.table.symlinks import write_symlinks

# A path that others change each time between our look and our step is no coincidence any more.
TRIES = 5
OLDER_MAX = 20
"""So many older versions are asked whether a file is one of theirs."""

Say = Callable[[str], None]


def say_nothing(text: str) -> None:
    pass


@dataclass(frozen=True)
class Left:
    """The paths that were not brought to the version: `foreign` hold what somebody else put there;
    of `lost` the file that the version names lies nowhere any more. `looked_at`: how many were to be
    brought."""

    foreign: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    looked_at: int = 0


class View:
    """The paths of a table, on their way to `version`.

    Every step holds only while the path has the tag that the version pinned: a publisher that slept
    finds its next step refused. Safe to repeat, whole or in part, by anybody, after any crash.
    """

    def __init__(self, table: Table, version: Version) -> None:
        self._table = table
        self._version = version
        self._run = RunPaths.of_root(version.run_root)

    def publish(self, say: Say = say_nothing) -> None:
        """Bring the paths to the version and look whether they show it, again until they do.

        IntegrityError names a path that somebody else changed; it is left as it is. Where a newer
        version stands, the paths are that one's.
        """
        for _ in range(TRIES):
            left = self.bring()
            if self._table.has_version(self._version.number + 1):
                say(f"a version after {self._version.number} was published meanwhile: the paths are its view")
                return
            if left.foreign:
                raise self._foreign(left.foreign[0])
            if left.lost:
                raise self._lost(left.lost)
            if not self.waiting():
                self.note_as_shown()
                return
        waiting = self.waiting()
        raise IntegrityError(
            f"{len(waiting)} path(s) do not show version {self._version.number}: {', '.join(waiting[:5])}",
            next="publish again: raybackfill resume RUN",
        )

    def bring(self, listing: pa.Table | None = None) -> Left:
        """Bring each path that the version changes, and what is not brought. `listing`: what lies there, if
        that is known."""
        waiting = set(self.waiting(listing))
        found = in_parallel(self._brought, [slot for slot in slots(self._version) if slot.path in waiting])
        return Left(
            tuple(slot.path for slot, why in found if why == FOREIGN),
            tuple(slot.path for slot, why in found if why == LOST),
            len(found),
        )

    def waiting(self, listing: pa.Table | None = None) -> list[str]:
        """The paths that the version changes and that do not show it."""
        listing = self._table.listing() if listing is None else listing
        there = {row["path"]: Content(row["tag"], row["size"]) for row in listing.to_pylist()}
        shown = self._table.shown(self._version, listing)
        return [
            slot.path
            for slot in slots(self._version)
            if slot.path not in shown and next_step(slot, there.get(slot.path)) is not Step.NOTHING
        ]

    def note_as_shown(self) -> None:
        """The lists of partitions come first: who reads them sees the version as soon as it is noted."""
        write_symlinks(self._table, self._version)
        self._table.note_as_shown(self._version.number)

    def was_shown(self) -> bool:
        """Whether the paths once showed the version: from then on what differs is its owner's doing. An
        earlier raybackfill noted it in the run's journal alone."""
        if self._table.is_noted_as_shown(self._version.number):
            return True
        store = self._table.state_store
        if self._lies_elsewhere or store.head(self._run.run) is None:
            return False
        # A run that is being taken back may have made a version that nobody has shown yet.
        return Checkpoint(store, self._run).ledger.state in FINAL - {"rolling_back"}

    def revived(self, listing: pa.Table) -> list[Slot]:
        """The paths at which a file of an older version came back after newer ones had replaced it."""
        there = {row["path"]: Content(row["tag"], row["size"]) for row in listing.to_pylist()}
        shown = self._table.shown(self._version, listing)
        found = [path for path in not_shown(self._version, there, shown) if path in there]
        looked = zip(found, in_parallel(self._look, found), strict=True)
        suspects = {path: content for path, content in looked if content is not None}
        wanted = {file.path: file for file in self._version.files}
        return [
            Slot(path, wanted.get(path), TableFile(path, suspects[path].size, suspects[path].tag))
            for path in sorted(self._of_older_versions(suspects))
        ]

    def _of_older_versions(self, there: Mapping[str, Content]) -> set[str]:
        """One version at a time, because each may be long."""
        found: set[str] = set()
        newest = self._version.number - 1
        for number in range(newest, max(newest - OLDER_MAX, 0), -1) if there else ():
            version = self._table.version(number)
            found |= came_back(there, version) if version is not None else set()
        return found

    def repair(self, slot: Slot) -> tuple[Slot, str]:
        """Replace what came back, which nobody keeps: its own version kept it or has it."""
        return self._brought(slot, keeps=False)

    def _look(self, path: str) -> Content | None:
        info = self._table.store.head(self._table.paths.file(path))
        return None if info is None else Content(info.tag, info.size, info.stamp)

    def _brought(self, slot: Slot, *, keeps: bool = True) -> tuple[Slot, str]:
        """Look, act on what was seen, and look again where that is no longer so."""
        for _ in range(TRIES):
            there = self._look(slot.path)
            step = next_step(slot, there)
            if step is Step.NOTHING:
                return slot, ""
            if step is Step.LEAVE:
                return slot, FOREIGN
            if step is Step.CREATE and self._table.has_version(self._version.number + 1):
                # What is not there has no tag to be compared: it may have been ours, and be gone since.
                return slot, ""
            if not self._can_be_brought(slot.wanted):
                return slot, LOST
            before = slot.before if keeps and there is not None else None
            if (before is None or before.is_empty or self._keep(before)) and self._act(slot, there):
                return slot, ""
        raise TransientError(
            "the path is changed again and again",
            where=self._table.paths.file(slot.path),
            next="find out who writes there, then: raybackfill resume RUN",
        )

    def _act(self, slot: Slot, there: Content | None) -> bool:
        store, key = self._table.store, self._table.paths.file(slot.path)
        if slot.wanted is None:
            return there is None or store.delete(key, tag=there.tag)
        file = slot.wanted
        source = ObjectInfo(file.staged, file.size, file.tag, file.stamp)
        over = None if there is None else there.tag
        made = copy_object(self._table.state_store, source, store, key, create=over is None, replaces=over)
        return made is not None

    def _keep(self, before: TableFile) -> bool:
        """Keep a file before it is replaced: exactly what the version pinned, once. False where it is no
        longer there; nothing is replaced until it is seen to be kept."""
        key = self._run.previous(self._version.number, before.path)
        table, source = self._table, self._table.paths.file(before.path)
        if table.state_store.head(key) is None:
            info = ObjectInfo(source, before.size, before.tag, before.stamp)
            try:
                copy_object(table.store, info, table.state_store, key, create=True)
            except IntegrityError:
                return False
        kept = table.state_store.head(key)
        if kept is None or kept.size != before.size:
            raise IntegrityError(
                "what is kept of a file that is about to be replaced is not that file",
                where=key,
                next="it was not replaced; see who writes there, then: raybackfill resume RUN",
            )
        return True

    def _can_be_brought(self, file: TableFile | None) -> bool:
        if file is None:
            return True
        if not file.staged or self._lies_elsewhere:
            return False
        staged = self._table.state_store.head(file.staged)
        return staged is not None and staged.tag == file.tag

    @property
    def _lies_elsewhere(self) -> bool:
        """The version's run has its state in another kind of store than ours."""
        return self._version.scheme not in ("", self._table.state_store.scheme)

    def _foreign(self, path: str) -> IntegrityError:
        return IntegrityError(
            "a file of the table was changed by somebody else while it was being published",
            where=self._table.paths.file(path),
            next="it was left as it is; find out who writes there, then: raybackfill resume RUN",
        )

    def _lost(self, paths: Sequence[str]) -> IntegrityError:
        staged = {file.path: file.staged for file in self._version.files}
        return IntegrityError(
            f"the staged files of {len(paths)} path(s) of version {self._version.number} are gone or changed",
            where=staged[paths[0]],
            next="run the backfill again: raybackfill run CONFIG --new",
        )


FOREIGN = "foreign"
LOST = "lost"


def repair_view(table: Table, say: Say = say_nothing, listing: pa.Table | None = None) -> Left:
    """Bring the paths to the newest version, whoever made it: so nobody waits for a run that died within
    its publish. What somebody else changed since is left to its owner, and said. `listing`: what lies
    there, if that is known."""
    newest = table.newest()
    if newest is None:
        return Left()
    view = View(table, newest)
    listing = table.listing() if listing is None else listing
    if view.was_shown():
        return _repair_revived(view, newest, listing, say)
    left = view.bring(listing)
    if left.looked_at:
        say(f"{left.looked_at} path(s) did not show version {newest.number} of run {newest.run_id} yet")
    for path in left.foreign:
        say(f"{path} was changed by somebody else since version {newest.number}: it is left as it is")
    if not left.lost:
        view.note_as_shown()
    return left


def _repair_revived(view: View, newest: Version, listing: pa.Table, say: Say) -> Left:
    revived = view.revived(listing)
    if revived:
        say(f"{len(revived)} path(s) show a file of before version {newest.number}: bringing them to it")
    found = in_parallel(view.repair, revived)
    lost = tuple(slot.path for slot, why in found if why == LOST)
    for path in lost:
        say(f"{path} shows a file of before version {newest.number}, and the file of that version is gone")
    return Left(lost=lost, looked_at=len(revived))


def paths_behind(table: Table, newest: Version | None, listing: pa.Table) -> int:
    """How many paths do not show the newest version, because its publish was cut off, or because a file of
    an older one came back."""
    if newest is None:
        return 0
    view = View(table, newest)
    return len(view.revived(listing) if view.was_shown() else view.waiting(listing))
