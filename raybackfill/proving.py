"""Proves a run: looks again at what its units left, staged or published, and says what is to be done anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raybackfill.checkpoint import Checkpoint
from raybackfill.checkpoint.journal import Heads, Journal
from raybackfill.control.planning.plan import Plan
from raybackfill.control.proving.evidence import Verdict
from raybackfill.control.proving.placing import places_in_table
from raybackfill.control.proving.sampling import read_back_units
from raybackfill.control.proving.slots import Content, not_shown
from raybackfill.control.proving.verification import Verification
from raybackfill.control.running.entries import Entry, redo_entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.engines import Engine
from raybackfill.errors import IntegrityError, RaybackfillError, SpecError, TransientError
from raybackfill.flow.evidence import Asked
from raybackfill.flow.publish import read_receipts
from raybackfill.model import Unit, Version
from raybackfill.paths import RunPaths, key_of
from raybackfill.reconciling import WrittenFile, reconcile_run
from raybackfill.storage.parallel import in_parallel
from raybackfill.storage.reading import changed, gone
from raybackfill.table import Table
from raybackfill.wiring import Stores
from raybackfill.worker import UnitLook, UnitWork

# A worker that is lost while it only looks has done nothing: the next one looks again.
LOOKS_MAX = 3

Look = Callable[[Asked], Verdict]
REPAIRABLE = ("stopped", "staged", "published")
TAKEN_BACK = ("rolling_back", "rolled_back")


@dataclass(frozen=True)
class Proof:
    """What was found of a run; `superseded`: units of which a later version replaced files."""

    verification: Verification
    superseded: int = 0


@dataclass(frozen=True)
class Proving:
    paths: RunPaths
    plan: Plan
    stores: Stores
    table: Table
    work: UnitWork

    def staged(self, engine: Engine, ledger: Ledger, read_back: str) -> Verification:
        """On all that is decided, as it was staged: what the gate before a publish asks."""
        found = self._look(engine, ledger, read_back, None)
        found.compare_journal(ledger.digest)
        self._reconcile(found, ledger, lambda: self._staged_files(ledger))
        return found

    def now(self, engine: Engine, ledger: Ledger, read_back: str) -> Proof:
        """As it lies now: in the table where the run is published, else as it was staged."""
        if ledger.state in TAKEN_BACK or (ledger.state == "closed" and not ledger.version):
            raise SpecError(
                f"a run that is {ledger.state} has nothing left to be proved",
                where=self.paths.run_id,
                next="see what the journal says of it: raybackfill status RUN",
            )
        is_shown = ledger.state in ("published", "closed")
        version = self.table.version(ledger.version) if is_shown else None
        if version is None:
            return Proof(self.staged(engine, ledger, read_back))
        newest = self.table.newest() or version
        target = key_of(self.plan.recipe.spec.target.uri)
        places, superseded = places_in_table(version, newest, target)
        found = self._look(engine, ledger, read_back, places)
        found.compare_journal(ledger.digest)
        ours = {place.key for of_attempt in places.values() for place in of_attempt.values()}
        listing = self.table.listing()
        there = {row["path"]: Content(row["tag"], row["size"]) for row in listing.to_pylist()}
        named = {file.path for file in newest.files}
        other = not_shown(newest, there, self.table.shown(newest, listing))
        different = [path for path in other if path in named and f"{target}/{path}" not in ours]
        strangers = [path for path in other if path not in named]
        found.compare_view(len(named), different, strangers, newest.number)
        if superseded:
            found.not_reconciled = "a later version of the table replaced some of the run's files"
        elif self.plan.recipe.spec.in_place:
            found.not_reconciled = "the table is its own source, and was published"
        self._reconcile(found, ledger, lambda: self._published_files(version))
        return Proof(found, superseded)

    def _reconcile(self, found: Verification, ledger: Ledger, files: Callable[[], list[WrittenFile]]) -> None:
        """Compare with an outside truth, where that is asked for, and only what holds by itself."""
        entries = self.plan.recipe.spec.verify.reconcile
        units = self.plan.units_table["unit"].to_pylist()
        if not all(leaf in ledger.decided for unit in units for leaf in ledger.leaves(unit)):
            found.not_reconciled = "units are left to be worked on"
        elif not found.holds:
            found.not_reconciled = "files are not as their receipts say"
        if not entries:
            found.not_reconciled = ""
        elif not found.not_reconciled:
            reconciled = reconcile_run(self.plan, self.stores, self.paths, files())
            found.compare_outside(each.to_json() for each in reconciled)

    def _staged_files(self, ledger: Ledger) -> list[WrittenFile]:
        receipts = read_receipts(self.stores.state, self.paths, ledger.decided)
        return [
            WrittenFile(self.stores.state, file.key, file.size, file.tag, file.partition)
            for receipt in receipts.values()
            for file in receipt.files
        ]

    def _published_files(self, version: Version) -> list[WrittenFile]:
        target = key_of(self.plan.recipe.spec.target.uri)
        made = [file for file in version.files if file.since == version.number and not file.is_empty]
        # A copy's tag may be another than its original's: it is asked for.
        infos = in_parallel(lambda file: self.stores.target.head(f"{target}/{file.path}"), made)
        return [
            WrittenFile(self.stores.target, info.key, info.size, info.tag, file.path.rpartition("/")[0])
            for file, info in zip(made, infos, strict=True)
            if info is not None
        ]

    def redo(self, bad: Mapping[str, str], checkpoint: Checkpoint) -> list[Entry]:
        """The entries that take back the decisions on these units (unit -> attempt). IntegrityError where
        one cannot be worked on again: nothing is taken back then."""
        ledger = checkpoint.ledger
        spec = self.plan.recipe.spec
        if ledger.state not in REPAIRABLE:
            raise IntegrityError(
                f"a run that is {ledger.state} is not repaired",
                where=self.paths.run_id,
                next="bring it to its end first: raybackfill resume RUN",
            )
        if ledger.version and spec.in_place:
            raise IntegrityError(
                "the table is its own source, and this run has replaced what it would read again",
                where=spec.target.uri,
                next="the files it replaced are kept in the run's folder, under previous/",
            )
        self._check_sources(bad, ledger)
        receipts = self.receipt_entries(set(bad.values()))
        return [redo_entry(receipts[attempt], "verify found it damaged") for attempt in bad.values()]

    def _look(self, engine: Engine, ledger: Ledger, read_back: str, places: Any) -> Verification:
        decided = {
            leaf: ledger.decided[leaf]
            for unit in self.plan.units_table["unit"].to_pylist()
            for leaf in ledger.leaves(unit)
            if leaf in ledger.decided
        }
        chosen = read_back_units(list(decided), read_back)
        asked = [
            Asked(
                unit,
                attempt,
                ledger.seals.get(unit, ""),
                unit in chosen,
                None if places is None else places.get(attempt, {}),
            )
            for unit, attempt in decided.items()
        ]
        return verified(engine, UnitLook(self.work), asked, read_back)

    def _check_sources(self, bad: Mapping[str, str], ledger: Ledger) -> None:
        """The objects that would be read again, before anything is given up."""
        units = [unit for unit in self.plan.units() if any(leaf in bad for leaf in ledger.leaves(unit.id))]
        in_parallel(self._check_pinned, units)

    def _check_pinned(self, unit: Unit) -> None:
        store = self.stores.target if unit.stage == "carry" else self.stores.source
        for piece in unit.pieces:
            there = store.head(piece.key)
            if there is None:
                raise gone(f"{store.scheme}://{piece.key}")
            if there.tag != piece.tag:
                raise changed(f"{store.scheme}://{piece.key}", piece.tag, there.tag)

    def receipt_entries(self, attempts: set[str]) -> dict[str, Entry]:
        """What the journal holds of them: all of it is read, because the ledger keeps sums only."""
        found: dict[str, Entry] = {}

        def look(content: Mapping[str, Any]) -> None:
            for entry in content["entries"]:
                if entry["kind"] == "receipt" and entry["attempt"] in attempts:
                    found.setdefault(entry["attempt"], entry)

        Journal(self.stores.state, self.paths, Heads(), look).follow()
        return found


def verified(engine: Engine, look: Look, asked: Sequence[Asked], read_back: str) -> Verification:
    """The verdict on all that is asked. TransientError where some of it could not be looked at: that is
    neither a pass nor a finding."""
    found = Verification(read_back, units_read_back=sum(each.read_back for each in asked))
    waiting, error = list(asked), None
    for _ in range(LOOKS_MAX):
        again = []
        for item, result in engine.each(look, waiting):
            if isinstance(result, TransientError):
                again.append(item)
                error = result
            elif isinstance(result, RaybackfillError):
                raise result
            else:
                found.add(result)
        waiting = again
        if not waiting:
            return found
    raise TransientError(
        f"{len(waiting)} unit(s) could not be looked at: {error.message if error else ''}",
        where=waiting[0].unit,
        next="verify again: raybackfill verify RUN",
    ) from error
