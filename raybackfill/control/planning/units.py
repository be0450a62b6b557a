"""Decides the units: crowds of small objects are packed, oversized ones are split by row groups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from raybackfill.errors import SpecError
from raybackfill.model import Piece, Unit

# Small enough that a retry is cheap and the last units of a run do not leave workers idle; large
# enough that starting one (some milliseconds) is nothing beside its work.
UNIT_BYTES_SMALL = 32_000_000
# A plan grows to about this many units before the units grow.
UNITS_WANTED_MAX = 10_000
# What a worker holds beside a unit's rows, and how often it holds these at its peak (measured:
# decoded rows, the job's rows, and buffers of the writer).
WORKER_BASE_BYTES = 200_000_000
WORKER_COPIES = 6


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A part of an object that can be read by itself: its number in the file, and its size."""

    number: int
    rows: int
    decoded_bytes: int


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One source object as planned: its piece, and the row groups of it that are wanted (none where
    it cannot be split)."""

    piece: Piece
    row_groups: tuple[RowGroup, ...]

    @property
    def partition(self) -> int:
        return self.piece.partition

    def only(self, numbers: Iterable[int]) -> PlannedObject:
        """The same object without its other row groups."""
        wanted = set(numbers)
        groups = tuple(group for group in self.row_groups if group.number in wanted)
        return PlannedObject(part_of(self.piece, groups), groups)


def part_of(piece: Piece, groups: Sequence[RowGroup]) -> Piece:
    decoded_bytes = sum(group.decoded_bytes for group in groups)
    return replace(
        piece,
        row_groups=tuple(group.number for group in groups),
        rows=sum(group.rows for group in groups),
        decoded_bytes=decoded_bytes,
        read_bytes=piece.read_bytes * decoded_bytes // max(piece.decoded_bytes, 1),
    )


def unit_bytes_max(worker_memory_bytes: int) -> int:
    """The decoded size of the largest unit that fits a worker."""
    return max((worker_memory_bytes - WORKER_BASE_BYTES) // WORKER_COPIES, 1_000_000)


def unit_bytes_wanted(total_bytes: int, bytes_max: int) -> int:
    return min(max(UNIT_BYTES_SMALL, total_bytes // UNITS_WANTED_MAX), bytes_max)


def plan_units(
    objects: Sequence[PlannedObject],
    *,
    basis: str,
    stage: str,
    whole_partitions: bool,
    bytes_max: int,
    first_index: int = 0,
) -> Iterator[Unit]:
    """Cut the objects, in their order, into units of about the wanted size, never above the largest
    but for a single object that cannot be split and is streamed.

    The same objects give the same units, with the same IDs: hashes of `basis`, stage and pieces.
    SpecError where `whole_partitions` and one does not fit a worker.
    """
    wanted = unit_bytes_wanted(sum(item.piece.decoded_bytes for item in objects), bytes_max)
    if whole_partitions:
        groups = _packed_partitions(objects, wanted, bytes_max)
    else:
        groups = _packed(_split(objects, wanted), wanted)
    for index, pieces in enumerate(groups, first_index):
        yield Unit(unit_id(basis, stage, pieces), index, stage, tuple(pieces))


def unit_id(basis: str, stage: str, pieces: Iterable[Piece]) -> str:
    digest = hashlib.sha256(f"{basis}\0{stage}".encode())
    for piece in pieces:
        digest.update(f"\0{piece.key}\0{piece.tag}\0{piece.row_groups}".encode())
    return digest.hexdigest()[:16]


def _split(objects: Iterable[PlannedObject], wanted: int) -> Iterator[Piece]:
    for item in objects:
        if item.piece.decoded_bytes <= wanted or len(item.row_groups) < 2:
            yield item.piece
        else:
            yield from _by_row_groups(item, wanted)


def _by_row_groups(item: PlannedObject, wanted: int) -> Iterator[Piece]:
    chosen: list[RowGroup] = []
    size = 0
    for group in item.row_groups:
        if chosen and size + group.decoded_bytes > wanted:
            yield part_of(item.piece, chosen)
            chosen, size = [], 0
        chosen.append(group)
        size += group.decoded_bytes
    yield part_of(item.piece, chosen)


def _packed(pieces: Iterable[Piece], wanted: int) -> Iterator[list[Piece]]:
    """Fill units in order. A partition that fits is not begun at the end of a unit that it would
    overfill: its rows stay together, and so do its files."""
    waiting: list[Piece] = []
    size = 0
    for partition in by_partition(pieces):
        partition_bytes = sum(piece.decoded_bytes for piece in partition)
        if waiting and size + partition_bytes > wanted:
            yield waiting
            waiting, size = [], 0
        for piece in partition:
            if waiting and size + piece.decoded_bytes > wanted:
                yield waiting
                waiting, size = [], 0
            waiting.append(piece)
            size += piece.decoded_bytes
    if waiting:
        yield waiting


def _packed_partitions(
    objects: Iterable[PlannedObject], wanted: int, bytes_max: int
) -> Iterator[list[Piece]]:
    waiting: list[Piece] = []
    size = 0
    for pieces in by_partition(item.piece for item in objects):
        partition_bytes = sum(piece.decoded_bytes for piece in pieces)
        if partition_bytes > bytes_max:
            raise SpecError(
                f"transform.per: partition needs all rows of a source partition at once: "
                f"{partition_bytes:,} bytes decoded, and a unit may have {bytes_max:,}",
                where=pieces[0].key,
                next="raise limits.worker_memory, or write the job for per: rows",
            )
        if waiting and size + partition_bytes > wanted:
            yield waiting
            waiting, size = [], 0
        waiting.extend(pieces)
        size += partition_bytes
    if waiting:
        yield waiting


def by_partition(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Neighbours of the same source partition, together."""
    return (list(group) for _, group in groupby(pieces, key=attrgetter("partition")))
