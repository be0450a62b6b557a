"""Which units stay when the inputs change: all is read once, and what nothing happened to is not done again."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.planning.identity.keeping import no_longer_planned, units_again
from raybackfill.control.planning.plan import TARGET_FILES, Plan, Recipe, units_table
from raybackfill.control.planning.units import PlannedObject, RowGroup, plan_units
from raybackfill.control.running.ledger import Ledger
from raybackfill.model import Piece, Unit
from tests.control.test_difference import CONFIG, spec_of

MB = 1_000_000


def planned(key: str, groups: list[int], partition: int, tag: str = "t") -> PlannedObject:
    size = sum(groups)
    piece = Piece(key, size, tag, None, size, size, partition=partition, row_group_count=len(groups))
    return PlannedObject(piece, tuple(RowGroup(n, size, size) for n, size in enumerate(groups)))


def cut(objects: list[PlannedObject], whole: bool, basis: str = "b") -> list[Unit]:
    return list(plan_units(objects, basis=basis, stage="work", whole_partitions=whole, bytes_max=10_000 * MB))


def again(units: list[Unit], objects: list[PlannedObject], whole: bool, basis: str = "b") -> list[Unit]:
    return units_again(
        units, objects, basis=basis, stage="work", whole_partitions=whole, bytes_max=10_000 * MB
    )


# What lies in a partition before and afterwards: row groups, and what becomes of the object.
objects = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.lists(st.integers(1, 40 * MB), min_size=1, max_size=4),
        st.sampled_from(["stays", "stays", "stays", "changed", "gone", "new"]),
    ),
    max_size=14,
)
Fates = list[tuple[int, list[int], str]]


def lakes(fates: Fates) -> tuple[list[PlannedObject], list[PlannedObject]]:
    """The objects before and after, in order; partitions are numbered as they come, as a plan does it."""
    found: tuple[list[PlannedObject], list[PlannedObject]] = ([], [])
    for side, without in ((0, "new"), (1, "gone")):
        numbers: dict[int, int] = {}
        for at, (partition, groups, fate) in sorted(enumerate(fates), key=lambda item: item[1][0]):
            if fate != without:
                number = numbers.setdefault(partition, len(numbers))
                tag = "new" if side and fate == "changed" else "t"
                found[side].append(planned(f"o{partition}-{at}", groups, number, tag))
    return found


def covered(units: list[Unit], objects: list[PlannedObject]) -> list[tuple[str, str, int]]:
    groups = {item.piece.key: len(item.row_groups) for item in objects}
    return sorted(
        (piece.key, piece.tag, group)
        for unit in units
        for piece in unit.pieces
        for group in (range(groups[piece.key]) if piece.row_groups is None else piece.row_groups)
    )


@given(objects, st.booleans())
def test_every_part_of_what_is_there_now_is_read_once(fates: Fates, whole: bool) -> None:
    before, after = lakes(fates)
    units = again(cut(before, whole), after, whole)
    everything = sorted((o.piece.key, o.piece.tag, g.number) for o in after for g in o.row_groups)
    assert covered(units, after) == everything
    assert [unit.index for unit in units] == list(range(len(units)))
    assert len({unit.id for unit in units}) == len(units)


@given(objects, st.booleans())
def test_a_unit_that_nothing_happened_to_stays_and_no_other(fates: Fates, whole: bool) -> None:
    before, after = lakes(fates)
    old = cut(before, whole)
    new = {unit.id for unit in again(old, after, whole)}
    touched = {f"o{partition}-{at}" for at, (partition, _, fate) in enumerate(fates) if fate != "stays"}
    partitions = {partition for partition, _, fate in fates if fate != "stays"}
    for unit in old:
        keys = {piece.key for piece in unit.pieces}
        stays = not keys & touched
        if whole:
            stays = not {int(key[1]) for key in keys} & partitions
        assert (unit.id in new) == stays


@given(objects)
def test_whole_partitions_stay_whole(fates: Fates) -> None:
    before, after = lakes(fates)
    where: dict[int, set[str]] = {}
    for unit in again(cut(before, True), after, True):
        for piece in unit.pieces:
            assert piece.row_groups is None
            where.setdefault(piece.partition, set()).add(unit.id)
    assert all(len(ids) == 1 for ids in where.values())
    assert set(where) == {item.partition for item in after}


@given(objects, st.booleans())
def test_the_same_objects_give_the_same_units_and_another_basis_gives_none_of_them(
    fates: Fates, whole: bool
) -> None:
    before, _ = lakes(fates)
    old = cut(before, whole)
    assert again(old, before, whole) == old
    assert not {unit.id for unit in again(old, before, whole, "c")} & {unit.id for unit in old}


def test_one_new_object_does_not_shift_the_others() -> None:
    before = [planned(f"day{at}", [20 * MB], at) for at in range(1, 9)]
    after = [planned("day0", [20 * MB], 0), *before]
    old = cut(before, False)
    assert len([unit for unit in again(old, after, False) if unit not in old]) == len(old) + 1, "indices move"
    assert len({u.id for u in again(old, after, False)} - {u.id for u in old}) == 1


def plan_of(units: list[Unit]) -> Plan:
    schema = pa.schema([])
    recipe = Recipe(spec_of(CONFIG), "parquet", schema, schema, schema, None, "", "", "")
    return Plan("p", recipe, 0, units_table(units), TARGET_FILES.empty_table(), {})


def test_what_was_decided_on_units_that_are_gone_is_taken_back_split_or_not() -> None:
    before = [planned(key, [MB], at) for at, key in enumerate("abcd")]
    units = [Unit(f"u{item.piece.key}", at, "work", (item.piece,)) for at, item in enumerate(before)]
    ledger = Ledger(
        decided={"ua": "a1", "ub": "b1", "part1": "c1", "part2": "c2"},
        splits={"uc": [{"unit": "part1"}, {"unit": "part3"}], "part3": [{"unit": "part2"}]},
    )
    assert no_longer_planned(plan_of(units), plan_of(units[:1]), ledger) == ["b1", "c1", "c2"]
    assert no_longer_planned(plan_of(units), plan_of(units), ledger) == []
    assert no_longer_planned(plan_of(units), plan_of([replace(units[0], id="x")]), ledger)[0] == "a1"
