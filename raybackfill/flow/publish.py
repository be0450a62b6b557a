"""Hop 5, publish: receipts -> a new version of the table, and its paths brought to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from raybackfill.control.proving.composition import Composition, compose, folder_of
from raybackfill.control.proving.shrinking import shrunk
from raybackfill.errors import FencedError, IntegrityError
from raybackfill.model import Receipt, TableFile, Version
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectInfo, ObjectStore
from raybackfill.storage.listing import list_objects
from raybackfill.storage.parallel import in_parallel
from raybackfill.table import Table
from raybackfill.table.view import View, repair_view

# Each failure means that somebody else's publish succeeded: more than these is no coincidence.
COMMIT_ATTEMPTS = 5


@dataclass(frozen=True)
class Publication:
    """What is published: by which run, over which plan. `units` maps the units, in plan order, to
    the attempts that the journal decided on. `write_empty` makes a file without rows at a key of the
    state, under a stamp; `shrink` is the share of its rows that a partition may lose. Where it
    `appends`, files are added beside those that are there."""

    paths: RunPaths
    plan_id: str
    base_version: int
    on_empty: str
    pinned: pa.Table
    units: Mapping[str, str]
    write_empty: Callable[[str, str], ObjectInfo]
    shrink: float = 1.0
    appends: bool = False


def read_receipts(store: ObjectStore, paths: RunPaths, units: Mapping[str, str]) -> dict[str, Receipt]:
    """The full receipts (attempt -> receipt) that lie with the staged files, in the units' order."""

    def read(item: tuple[str, str]) -> Receipt:
        return Receipt.from_json(json.loads(store.read(paths.receipt(*item)).to_pybytes()))

    return {receipt.attempt: receipt for receipt in in_parallel(read, units.items())}


def write_receipt(store: ObjectStore, paths: RunPaths, receipt: Receipt) -> None:
    store.put(paths.receipt(receipt.unit, receipt.attempt), receipt.to_bytes())


def make_version(
    table: Table, publication: Publication, state_store: ObjectStore, *, epoch: int, at: str
) -> Version | Composition:
    """Commit the run's version, or give the composition that a gate refused.

    Safe to repeat: a version that this run made already is found and given back. A version is made only
    over paths that showed the one before, so that what it retires is what lay there. FencedError where
    others keep publishing in between.
    """
    receipts = read_receipts(state_store, publication.paths, publication.units)
    for _ in range(COMMIT_ATTEMPTS):
        # In this order: a version of this run's that comes in between is seen as one or as the other.
        newest = table.newest()
        made = table.version_of(publication.paths.run_id, publication.base_version)
        if made is not None:
            return made
        number = _number(newest) + 1
        composition = _composition(table, newest, receipts, publication)
        if composition.refused_by:
            if _number(table.newest()) == _number(newest):
                return composition
            # A version came while this one looked: what it found changed may be the work of its own run,
            # by another driver of it.
            continue
        _check_staged(state_store, publication.paths, composition.files, number)
        version = Version(
            number=number,
            run_id=publication.paths.run_id,
            run_root=publication.paths.root,
            plan_id=publication.plan_id,
            epoch=epoch,
            at=at,
            files=composition.files_with(
                empty_file(composition, publication.paths, publication.write_empty, number, epoch)
            ),
            retired=composition.retired,
            scheme=state_store.scheme,
        )
        if table.commit(version):
            return version
    raise FencedError(
        "other runs published to this table each time that this one was about to",
        where=publication.paths.root,
        next="resume it when they are done: raybackfill resume RUN",
    )


def _composition(
    table: Table,
    newest: Version | None,
    receipts: Mapping[str, Receipt],
    publication: Publication,
) -> Composition:
    staged = {attempt: receipt.files for attempt, receipt in receipts.items()}
    listing = table.listing()
    left = repair_view(table, listing=listing)
    if left.looked_at:
        listing = table.listing()
    composition = compose(
        staged,
        listing,
        publication.pinned,
        on_empty=publication.on_empty,
        number=_number(newest) + 1,
        shown=table.shown(newest, listing),
        run_id=publication.paths.run_id,
        units={a: receipt.unit for a, receipt in receipts.items()} if publication.appends else {},
    )
    if not composition.refused_by:
        files = chain.from_iterable(staged.values())
        composition = shrunk(files, publication.pinned, publication.shrink) or composition
    changed = [*composition.retired, *(file for file in composition.files if file.since > _number(newest))]
    folders = {folder_of(file.path) for file in changed}
    lost = [path for path in left.lost if folder_of(path) not in folders]
    if newest is None or not lost or composition.refused_by:
        return composition
    return Composition(
        refused_by="no unfinished publish",
        reason=f"{len(lost)} path(s) do not show version {newest.number} of run {newest.run_id}, and what it "
        f"staged for them cannot be found: {lost[0]} among them",
        next="bring back the state folder of that run, or rebuild these partitions first",
    )


def empty_file(
    composition: Composition,
    paths: RunPaths,
    write_empty: Callable[[str, str], ObjectInfo],
    number: int,
    epoch: int,
) -> TableFile | None:
    """The file for the paths that are left without rows. Its stamp, and so its tag, is of this version by
    this driver alone: nobody's precondition can hold for it by chance."""
    if not composition.surplus:
        return None
    stamp = f"{paths.run_id}.{number}.{epoch}"
    made = write_empty(paths.empty(number, epoch), stamp)
    return TableFile("", made.size, made.tag, 0, stamp, made.key, number)


def _number(version: Version | None) -> int:
    return version.number if version else 0


def _check_staged(store: ObjectStore, paths: RunPaths, files: Sequence[TableFile], number: int) -> None:
    """A version may name only what is there: once it stands, its files are the table."""
    listing = list_objects(store, paths.staged)
    tags = dict(zip(listing["key"].to_pylist(), listing["tag"].to_pylist(), strict=True))
    lost = [file.staged for file in files if file.since == number and tags.get(file.staged) != file.tag]
    if lost:
        raise IntegrityError(
            f"{len(lost)} staged file(s) of this run are gone or changed",
            where=lost[0],
            next="nothing was published; run the backfill again: raybackfill run CONFIG --new",
        )


def show_version(table: Table, version: Version, say: Callable[[str], None]) -> None:
    """Bring the paths to the version and look whether they show it."""
    View(table, version).publish(say)
