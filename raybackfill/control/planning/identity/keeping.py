"""Decides which units of a plan stay when its inputs change: those that nothing happened to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from raybackfill.control.planning.plan import Plan
from raybackfill.control.planning.units import PlannedObject, plan_units, unit_id
from raybackfill.control.running.ledger import Ledger
from raybackfill.model import Piece, Unit


def units_again(
    before: Iterable[Unit],
    objects: Sequence[PlannedObject],
    *,
    basis: str,
    stage: str,
    whole_partitions: bool,
    bytes_max: int,
    first_index: int = 0,
) -> list[Unit]:
    """What `plan_units` gives, but with the units of an earlier plan where all that they read is still as
    it was: they keep their boundaries, and under the same `basis` their IDs. Only what else there is now
    is cut anew, so that one new object does not shift all that comes after it.
    """
    now = {item.piece.key: item for item in objects}
    sizes = _partition_sizes(objects) if whole_partitions else {}
    kept = []
    for unit in before:
        if unit.stage == stage and _is_as_it_was(unit, now, sizes):
            pieces = tuple(replace(p, partition=now[p.key].partition) for p in unit.pieces)
            kept.append(Unit(unit_id(basis, stage, pieces), 0, stage, pieces))
    rest = _uncovered(objects, kept)
    fresh = plan_units(rest, basis=basis, stage=stage, whole_partitions=whole_partitions, bytes_max=bytes_max)
    places = {item.piece.key: place for place, item in enumerate(objects)}

    def place(unit: Unit) -> tuple[int, int]:
        first = unit.pieces[0]
        return places[first.key], first.row_groups[0] if first.row_groups else 0

    ordered = sorted([*kept, *fresh], key=place)
    return [replace(unit, index=index) for index, unit in enumerate(ordered, first_index)]


def no_longer_planned(before: Plan, after: Plan, ledger: Ledger) -> list[str]:
    """The attempts that were decided on for units which the later plan does not have."""
    planned = set(after.units_table["unit"].to_pylist())
    dropped = [unit for unit in before.units_table["unit"].to_pylist() if unit not in planned]
    leaves = (leaf for unit in dropped for leaf in ledger.leaves(unit))
    return [ledger.decided[leaf] for leaf in leaves if leaf in ledger.decided]


def _is_as_it_was(unit: Unit, now: Mapping[str, PlannedObject], sizes: Mapping[int, int]) -> bool:
    """Whether each object is there with its tag and size and, where partitions are taken whole, no other
    object came to theirs."""
    items = [now.get(piece.key) for piece in unit.pieces]
    for item, piece in zip(items, unit.pieces, strict=True):
        if item is None or (item.piece.tag, item.piece.size) != (piece.tag, piece.size):
            return False
    partitions = {item.partition for item in items if item is not None}
    return not sizes or sum(sizes[partition] for partition in partitions) == len(unit.pieces)


def _partition_sizes(objects: Iterable[PlannedObject]) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for item in objects:
        sizes[item.partition] = sizes.get(item.partition, 0) + 1
    return sizes


def _uncovered(objects: Iterable[PlannedObject], kept: Iterable[Unit]) -> list[PlannedObject]:
    """The objects, or the row groups of them, that no kept unit reads."""
    read: dict[str, list[Piece]] = {}
    for unit in kept:
        for piece in unit.pieces:
            read.setdefault(piece.key, []).append(piece)
    rest = []
    for item in objects:
        pieces = read.get(item.piece.key)
        if pieces is None:
            rest.append(item)
        elif all(piece.row_groups is not None for piece in pieces):
            taken = {number for piece in pieces for number in piece.row_groups or ()}
            left = [group.number for group in item.row_groups if group.number not in taken]
            if left:
                rest.append(item.only(left))
    return rest
