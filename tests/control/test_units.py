"""Units: every row group of every object in exactly one unit, none too large, the same each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.planning.units import PlannedObject, RowGroup, plan_units, unit_bytes_max
from raybackfill.errors import SpecError
from raybackfill.model import Piece, Unit

MB = 1_000_000


def planned(key: str, groups: list[int], partition: int = 0, whole: int | None = None) -> PlannedObject:
    """An object with row groups of so many bytes; `whole` for one that cannot be split."""
    size = sum(groups) if whole is None else whole
    piece = Piece(key, size, "tag", None, size, size, partition=partition, row_group_count=len(groups))
    return PlannedObject(piece, tuple(RowGroup(n, size, size) for n, size in enumerate(groups)))


def units_of(
    objects: list[PlannedObject], *, whole_partitions: bool = False, bytes_max: int = 100 * MB
) -> list[Unit]:
    return list(
        plan_units(objects, basis="b", stage="work", whole_partitions=whole_partitions, bytes_max=bytes_max)
    )


objects = st.lists(
    st.tuples(st.lists(st.integers(1, 60 * MB), min_size=1, max_size=5), st.integers(0, 3)), max_size=20
).map(
    lambda items: [
        planned(f"o{i}", groups, part) for i, (groups, part) in enumerate(sorted(items, key=lambda x: x[1]))
    ]
)


@given(objects)
def test_every_part_is_in_exactly_one_unit(items: list[PlannedObject]) -> None:
    covered = []
    for unit in units_of(items):
        for piece in unit.pieces:
            groups = piece.row_groups
            if groups is None:
                groups = tuple(range(len(next(o for o in items if o.piece.key == piece.key).row_groups)))
            covered += [(piece.key, group) for group in groups]
    assert covered == [(o.piece.key, g) for o in items for g in range(len(o.row_groups))]


@given(objects)
def test_no_unit_is_above_what_is_wanted_but_for_a_part_that_cannot_be_split(
    items: list[PlannedObject],
) -> None:
    for unit in units_of(items):
        parts = sum(1 if piece.row_groups is None else len(piece.row_groups) for piece in unit.pieces)
        assert unit.decoded_bytes <= 32 * MB or len(unit.pieces) == 1
        assert unit.decoded_bytes <= 32 * MB or parts == 1


@given(objects)
def test_the_same_objects_give_the_same_units(items: list[PlannedObject]) -> None:
    assert units_of(items) == units_of(list(items))
    assert len({unit.id for unit in units_of(items)}) == len(units_of(items))


@given(objects)
def test_whole_partitions_are_never_cut(items: list[PlannedObject]) -> None:
    units = units_of(items, whole_partitions=True, bytes_max=10_000 * MB)
    partition_of = {item.piece.key: item.partition for item in items}
    where: dict[int, set[str]] = {}
    for unit in units:
        for piece in unit.pieces:
            assert piece.row_groups is None
            where.setdefault(partition_of[piece.key], set()).add(unit.id)
    assert all(len(ids) == 1 for ids in where.values())


def test_a_partition_that_does_not_fit_is_refused_with_its_size() -> None:
    with pytest.raises(SpecError, match=r"120,000,000 bytes decoded, and a unit may have 100,000,000"):
        units_of([planned("a", [60 * MB]), planned("b", [60 * MB])], whole_partitions=True)


def test_small_objects_are_packed_and_neighbours_of_a_partition_stay_together() -> None:
    items = [planned(f"p{part}-{n}", [8 * MB], part) for part in range(4) for n in range(3)]
    units = units_of(items)
    assert [[piece.key for piece in unit.pieces] for unit in units] == [
        [f"p{part}-{n}" for n in range(3)] for part in range(4)
    ]


def test_a_large_object_is_split_by_row_groups_with_its_own_rows() -> None:
    units = units_of([planned("big", [20 * MB, 10 * MB, 20 * MB])])
    assert [unit.pieces[0].row_groups for unit in units] == [(0, 1), (2,)]
    assert [unit.pieces[0].rows for unit in units] == [30 * MB, 20 * MB]


def test_units_grow_with_the_source_so_that_a_plan_does_not() -> None:
    items = [planned(f"o{n}", [], whole=16 * MB) for n in range(20_000)]
    units = list(plan_units(items, basis="b", stage="work", whole_partitions=False, bytes_max=100 * MB))
    assert 9_000 < len(units) <= 10_001


def test_memory_bounds_the_unit() -> None:
    assert unit_bytes_max(1_000_000_000) == 133_333_333
    assert unit_bytes_max(1) == 1_000_000


def test_row_groups_out_of_scope_are_left_out() -> None:
    item = planned("big", [MB, 2 * MB, 3 * MB]).only([0, 2])
    (unit,) = units_of([item])
    assert (unit.pieces[0].row_groups, unit.pieces[0].rows) == ((0, 2), 4 * MB)
