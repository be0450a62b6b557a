"""Decides how a unit that is too large for a worker is divided, and reads divisions back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from raybackfill.control.planning.units import by_partition, unit_id
from raybackfill.control.running.ledger import Ledger
from raybackfill.model import Piece, Unit


def divide(unit: Unit, *, whole_partitions: bool) -> list[dict[str, Any]]:
    """Two parts of about the same size, as the journal holds them: [] where the unit cannot be divided.

    A part names its pieces by their place in the unit, with the row groups it takes of each (null:
    all that the unit takes). With `whole_partitions` no source partition is torn apart.
    """
    chunks = _partitions(unit) if whole_partitions else _chunks(unit)
    if len(chunks) < 2:
        return []
    cut = _middle([size for size, _ in chunks])
    halves = [[taken for _, chunk in part for taken in chunk] for part in (chunks[:cut], chunks[cut:])]
    return [_part(unit, _joined(half)) for half in halves]


def parts_of(unit: Unit, parts: Sequence[Mapping[str, Any]]) -> list[Unit]:
    """The units that a split in the journal stands for."""
    return [Unit(part["unit"], unit.index, unit.stage, _pieces(unit, part["pieces"])) for part in parts]


def undecided(unit: Unit, ledger: Ledger) -> Iterator[Unit]:
    """What is left to do of a unit: itself, or those of its parts that have no decision yet."""
    if unit.id in ledger.splits:
        for part in parts_of(unit, ledger.splits[unit.id]):
            yield from undecided(part, ledger)
    elif unit.id not in ledger.decided:
        yield unit


Taken = tuple[int, tuple[int, ...] | None]
"""A piece by its place in the unit, and the row groups of it."""


def _chunks(unit: Unit) -> list[tuple[int, list[Taken]]]:
    """The smallest parts that can be told apart, with their decoded bytes."""
    chunks: list[tuple[int, list[Taken]]] = []
    for place, piece in enumerate(unit.pieces):
        groups = piece.row_groups if piece.row_groups is not None else tuple(range(piece.row_group_count))
        if len(groups) < 2:
            chunks.append((piece.decoded_bytes, [(place, None)]))
        else:
            share = piece.decoded_bytes // len(groups)
            chunks += [(share, [(place, (group,))]) for group in groups]
    return chunks


def _partitions(unit: Unit) -> list[tuple[int, list[Taken]]]:
    chunks: list[tuple[int, list[Taken]]] = []
    place = 0
    for pieces in by_partition(unit.pieces):
        taken: list[Taken] = [(place + offset, None) for offset in range(len(pieces))]
        chunks.append((sum(piece.decoded_bytes for piece in pieces), taken))
        place += len(pieces)
    return chunks


def _middle(sizes: Sequence[int]) -> int:
    """After how many chunks to cut, so that the two sides are as equal as can be; none is empty."""
    before = list(accumulate(sizes))
    total = before[-1]
    return min(range(1, len(sizes)), key=lambda cut: abs(total - 2 * before[cut - 1]))


def _joined(taken: Sequence[Taken]) -> list[Taken]:
    """Row groups of one piece that stand beside each other, together."""
    joined: list[Taken] = []
    for place, groups in taken:
        if joined and joined[-1][0] == place:
            joined[-1] = (place, (joined[-1][1] or ()) + (groups or ()))
        else:
            joined.append((place, groups))
    return joined


def _part(unit: Unit, taken: Sequence[Taken]) -> dict[str, Any]:
    pieces = [[place, None if groups is None else list(groups)] for place, groups in taken]
    return {"unit": unit_id(unit.id, unit.stage, _pieces(unit, pieces)), "pieces": pieces}


def _pieces(unit: Unit, taken: Sequence[Any]) -> tuple[Piece, ...]:
    return tuple(_some(unit.pieces[place], groups) for place, groups in taken)


def _some(piece: Piece, groups: Sequence[int] | None) -> Piece:
    """The piece with only some of its row groups. How many rows these have the plan did not keep."""
    if groups is None:
        return piece
    count = len(piece.row_groups) if piece.row_groups is not None else piece.row_group_count
    if len(groups) == count:
        return piece
    return replace(
        piece,
        row_groups=tuple(groups),
        rows=-1,
        decoded_bytes=piece.decoded_bytes * len(groups) // count,
        read_bytes=piece.read_bytes * len(groups) // count,
    )
