"""Takes a published run back: a new version of what it replaced, proved by digest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from raybackfill.control.proving.composition import folder_of
from raybackfill.control.proving.gate import Gate
from raybackfill.control.proving.undoing import Kept, undo
from raybackfill.errors import FencedError, IntegrityError
from raybackfill.flow.proof import Proof
from raybackfill.flow.publish import COMMIT_ATTEMPTS, empty_file
from raybackfill.model import PartitionProof, TableFile, Version
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectInfo, ObjectStore
from raybackfill.storage.parallel import in_parallel
from raybackfill.storage.transfer import copy_changed
from raybackfill.table import Table
from raybackfill.table.view import repair_view
from raybackfill.targets.footers import TAIL_BYTES, FooterError, footer_bytes, restamped

# Each holds a row group while its rows are digested.
FILES_AT_ONCE = 4


@dataclass(frozen=True)
class Published:
    """A published run: `base_version` is what its plan saw, `write_empty` makes a file without rows at a
    key of the state, under a stamp."""

    paths: RunPaths
    plan_id: str
    base_version: int
    write_empty: Callable[[str, str], ObjectInfo]


def take_back(table: Table, run: Published, *, epoch: int, at: str) -> Version | Gate:
    """Commit the version that takes the run's back, or give the gate that refused it.

    Safe to repeat: one that was made already is found and given back. What comes back gets another stamp,
    and so a tag that nobody has seen: under its old one, a publisher that slept would find again
    what it was about to replace.
    """
    paths = run.paths
    first = table.version_of(paths.run_id, run.base_version)
    if first is None:
        raise IntegrityError("no version of the table is this run's", where=paths.root)
    for _ in range(COMMIT_ATTEMPTS):
        repair_view(table)
        versions = table.versions_from(first.number)
        made = next((v for v in versions if v.run_id == paths.run_id and v.undoes), None)
        if made is not None:
            return made
        listing = table.listing()
        found = undo(versions, paths.run_id, listing, table.shown(versions[-1], listing))
        if isinstance(found, Gate):
            if not table.has_version(versions[-1].number + 1):
                return found
            # A version came while this one looked: what it found changed may be the work of another
            # driver that takes the same run back.
            continue
        number = versions[-1].number + 1
        stamp = f"{paths.run_id}.{number}.{epoch}"
        restored = _restored(table.state_store, paths, found.restored, number, epoch, stamp)
        empty = empty_file(found.composition, paths, run.write_empty, number, epoch)
        files = [*found.composition.files_with(empty), *restored]
        version = Version(
            number=number,
            run_id=paths.run_id,
            run_root=paths.root,
            plan_id=run.plan_id,
            epoch=epoch,
            at=at,
            files=tuple(sorted(files, key=lambda file: file.path)),
            retired=found.composition.retired,
            scheme=table.state_store.scheme,
            undoes=first.number,
        )
        if table.commit(version):
            return version
    raise FencedError(
        "other runs published to this table each time that this one was about to be taken back",
        where=paths.root,
        next="try again when they are done: raybackfill rollback RUN",
    )


def _restored(
    store: ObjectStore, paths: RunPaths, kept: Iterable[Kept], number: int, epoch: int, stamp: str
) -> list[TableFile]:
    """Copies of what was kept, under the stamp. IntegrityError where one is gone, or where the rows of a
    partition are not the same afterwards: nothing was changed by then."""
    kept = list(kept)

    def restore(each: Kept) -> tuple[ObjectInfo, ObjectInfo]:
        source = _kept(store, paths, each)
        key = paths.restored(number, epoch, each.file.path)
        return source, _stamped_copy(store, source, key, stamp)

    pairs = in_parallel(restore, kept)
    folders = [folder_of(each.file.path) for each in kept]
    before = _proof(store, [source for source, _ in pairs], folders)
    after = _proof(store, [copy for _, copy in pairs], folders)
    if before != after:
        raise IntegrityError(
            "the rows that would come back are not those that were replaced",
            where=paths.root,
            next="nothing was changed; please report this",
        )
    rows = {each.file.path: each.file.rows for each in kept}
    return [
        TableFile(each.file.path, copy.size, copy.tag, rows[each.file.path], stamp, copy.key, number)
        for each, (_, copy) in zip(kept, pairs, strict=True)
    ]


def _kept(store: ObjectStore, paths: RunPaths, each: Kept) -> ObjectInfo:
    key = paths.previous(each.version, each.file.path)
    found = store.head(key)
    if found is None or found.size != each.file.size:
        raise IntegrityError(
            "a file that the run replaced is no longer kept"
            if found is None
            else "what is kept is another file",
            where=key,
            next="nothing was changed; a run whose previous files are gone cannot be taken back",
        )
    return found


def _stamped_copy(store: ObjectStore, source: ObjectInfo, key: str, stamp: str) -> ObjectInfo:
    """A Parquet file is copied up to its footer, which gets the stamp. Anything else is copied as it is:
    on a disk that gives it a tag of its own, and where it does not, it is refused."""
    try:
        tail = store.read(source.key, offset=-TAIL_BYTES, tag=source.tag).to_pybytes()
        size = footer_bytes(tail)
        footer = store.read(source.key, offset=source.size - TAIL_BYTES - size, size=size, tag=source.tag)
        end = restamped(footer.to_pybytes(), stamp)
        return copy_changed(store, source, key, stamp, source.size - TAIL_BYTES - size, end)
    except FooterError as error:
        made = copy_changed(store, source, key, stamp, source.size, b"")
        if made.tag != source.tag:
            return made
        raise IntegrityError(
            f"a file cannot come back under another tag: it is no Parquet file ({error})",
            where=source.key,
            next="nothing was changed; bring the partition back by hand from the run's folder, previous/",
        ) from error


def _proof(store: ObjectStore, files: list[ObjectInfo], folders: list[str]) -> tuple[PartitionProof, ...]:
    """Rows and digest of each folder."""

    def of_file(item: tuple[ObjectInfo, str]) -> tuple[PartitionProof, ...]:
        info, folder = item
        proof, names = Proof(), pa.array([folder], pa.string())
        try:
            parquet = pq.ParquetFile(store.open(info, whole=True), page_checksum_verification=True)
        except pa.ArrowInvalid:
            # No Parquet file: it was copied byte for byte, by its tag.
            return ()
        for group in range(parquet.metadata.num_row_groups):
            rows = parquet.read_row_group(group, use_threads=False)
            proof.add(rows, pa.DictionaryArray.from_arrays(pa.repeat(0, rows.num_rows), names))
        return proof.partitions()

    found: dict[str, PartitionProof] = {}
    for parts in in_parallel(of_file, zip(files, folders, strict=True), threads=FILES_AT_ONCE):
        for part in parts:
            other = found.get(part.partition)
            found[part.partition] = part if other is None else _added(other, part)
    return tuple(found[name] for name in sorted(found))


def _added(one: PartitionProof, other: PartitionProof) -> PartitionProof:
    return PartitionProof(one.partition, one.rows + other.rows, one.digest + other.digest)
