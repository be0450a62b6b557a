"""Hop 5, publish: receipts -> a new version of the table, and its paths brought to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from raybackfill.checkpoint import Checkpoint
from raybackfill.control.proving.composition import Composition, compose
from raybackfill.control.proving.shrinking import shrunk
from raybackfill.control.running.ledger import FINAL
from raybackfill.errors import FencedError, IntegrityError
from raybackfill.model import Receipt, StagedFile, TableFile, Version
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectStore
from raybackfill.storage.listing import list_objects
from raybackfill.storage.parallel import in_parallel
from raybackfill.table import Table

# Each failure means that somebody else's publish succeeded: more than these is no coincidence.
COMMIT_ATTEMPTS = 5


@dataclass(frozen=True)
class Publication:
    """What is published: by which run, over which plan. `units` maps the units, in plan order, to
    the attempts that the journal decided on; `shrink` is the share of rows that a partition may lose."""

    paths: RunPaths
    plan_id: str
    base_version: int
    on_empty: str
    pinned: pa.Table
    units: Mapping[str, str]
    shrink: float = 1.0


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

    Safe to repeat: a version that this run made already is found and given back. FencedError where
    others keep publishing in between.
    """
    receipts = read_receipts(state_store, publication.paths, publication.units)
    staged = {attempt: receipt.files for attempt, receipt in receipts.items()}
    for _ in range(COMMIT_ATTEMPTS):
        # In this order: a version of this run's that comes in between is seen as one or as the other.
        newest = table.newest()
        made = table.version_of(publication.paths.run_id, publication.base_version)
        if made is not None:
            return made
        others = newest if newest and newest.run_id != publication.paths.run_id else None
        composition = _unfinished(table, others, state_store) or _compose(table, publication, staged)
        if composition.refused_by:
            if _number(table.newest()) == _number(newest):
                return composition
            # A version came while this one looked: what it found changed may be the work of its own run,
            # by another driver of it.
            continue
        _check_staged(state_store, publication.paths, composition.files)
        version = Version(
            number=_number(newest) + 1,
            run_id=publication.paths.run_id,
            run_root=publication.paths.root,
            plan_id=publication.plan_id,
            epoch=epoch,
            at=at,
            files=composition.files,
            retired=composition.retired,
        )
        if table.commit(version):
            return version
    raise FencedError(
        "other runs published to this table each time that this one was about to",
        where=publication.paths.root,
        next="resume it when they are done: raybackfill resume RUN",
    )


def _compose(
    table: Table, publication: Publication, staged: Mapping[str, Sequence[StagedFile]]
) -> Composition:
    composition = compose(staged, table.listing(), publication.pinned, on_empty=publication.on_empty)
    if composition.refused_by:
        return composition
    files = chain.from_iterable(staged.values())
    return shrunk(files, publication.pinned, publication.shrink) or composition


def _number(version: Version | None) -> int:
    return version.number if version else 0


def _check_staged(store: ObjectStore, paths: RunPaths, files: Sequence[TableFile]) -> None:
    """A version may name only what is there: once it stands, its files are the table."""
    listing = list_objects(store, paths.staged)
    tags = dict(zip(listing["key"].to_pylist(), listing["tag"].to_pylist(), strict=True))
    lost = [file.staged for file in files if file.staged and tags.get(file.staged) != file.tag]
    if lost:
        raise IntegrityError(
            f"{len(lost)} staged file(s) of this run are gone or changed",
            where=lost[0],
            next="nothing was published; run the backfill again: raybackfill run CONFIG --new",
        )


def _unfinished(table: Table, newest: Version | None, state_store: ObjectStore) -> Composition | None:
    """Another run's version whose paths were never all written: publishing over it would lose it."""
    pending = table.unfinished(newest) if newest else []
    if newest is None or not pending or not _can_be_finished(newest, pending, state_store):
        return None
    return Composition(
        refused_by="no unfinished publish",
        reason=f"run {newest.run_id} was cut off while it published version {newest.number}; "
        f"{len(pending)} path(s) wait, {pending[0]} among them",
        next=f"finish it first: raybackfill resume {newest.run_root}",
    )


def _can_be_finished(version: Version, pending: Sequence[str], store: ObjectStore) -> bool:
    """Whether the version's run can be resumed, and was not done. Paths that went missing after that
    were removed by the table's owner, whose right it is."""
    paths = RunPaths.of_root(version.run_root)
    if store.head(paths.run) is None or Checkpoint(store, paths).ledger.state in FINAL:
        return False
    waiting = {file.staged for file in version.files if file.staged and file.path in set(pending)}
    return waiting <= set(list_objects(store, paths.staged)["key"].to_pylist())


def show_version(table: Table, version: Version, log: Callable[[str], None] = lambda text: None) -> None:
    """Bring the paths to the version and look whether they show it."""
    table.bring_view(version)
    newest = table.newest()
    if newest is not None and newest.number > version.number:
        log(f"version {newest.number} was published meanwhile: the paths are its view")
        return
    different = table.differences(version)
    if different:
        raise IntegrityError(
            f"{len(different)} path(s) do not show version {version.number}: {', '.join(different[:5])}",
            next="publish again: raybackfill resume RUN",
        )
