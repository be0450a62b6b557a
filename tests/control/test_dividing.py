"""Dividing: the two parts have every row group of the unit once, and none tears a partition apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.running.dividing import divide, parts_of, undecided
from raybackfill.control.running.entries import split_entry
from raybackfill.control.running.ledger import Ledger
from raybackfill.model import Piece, Unit


def piece(
    key: str, groups: int, size: int = 100, partition: int = 0, some: tuple[int, ...] | None = None
) -> Piece:
    return Piece(key, size, "tag", some, 10 * max(groups, 1), size, size, partition, groups)


def unit(*pieces: Piece) -> Unit:
    return Unit("u", 7, "work", pieces)


def taken(units: list[Unit]) -> list[tuple[str, int]]:
    """Every (object, row group) that the units read; -1 for an object that has none."""
    found = []
    for each in units:
        for p in each.pieces:
            groups = p.row_groups if p.row_groups is not None else range(max(p.row_group_count, 1))
            found += [(p.key, group if p.row_group_count else -1) for group in groups]
    return found


pieces = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 1000), st.integers(0, 2)), min_size=1, max_size=6
).map(
    lambda items: unit(
        *(piece(f"o{n}", g, s, p) for n, (g, s, p) in enumerate(sorted(items, key=lambda i: i[2])))
    )
)


@given(pieces, st.booleans())
def test_two_parts_take_everything_once(whole: Unit, whole_partitions: bool) -> None:
    parts = parts_of(whole, divide(whole, whole_partitions=whole_partitions))
    if not parts:
        chunks = {p.partition for p in whole.pieces} if whole_partitions else taken([whole])
        assert len(chunks) == 1
        return
    assert len(parts) == 2
    assert taken(parts) == taken([whole])
    assert len({part.id for part in [*parts, whole]}) == 3
    if whole_partitions:
        one, two = ({p.partition for p in part.pieces} for part in parts)
        assert not one & two


@given(pieces)
def test_dividing_again_and_again_ends_with_single_row_groups(whole: Unit) -> None:
    ledger = Ledger()
    todo = [whole]
    while todo:
        each = todo.pop()
        parts = divide(each, whole_partitions=False)
        if parts:
            ledger.apply(split_entry(each.id, parts))
            todo += parts_of(each, parts)
    leaves = list(undecided(whole, ledger))
    assert taken(leaves) == taken([whole])
    assert all(len(taken([leaf])) == 1 for leaf in leaves)


def test_the_cut_is_where_the_sides_are_most_equal() -> None:
    whole = unit(piece("a", 0, 10), piece("b", 0, 10), piece("c", 0, 100))
    one, two = parts_of(whole, divide(whole, whole_partitions=False))
    assert ([p.key for p in one.pieces], [p.key for p in two.pieces]) == (["a", "b"], ["c"])


def test_some_row_groups_of_a_piece_have_their_share_and_an_unknown_number_of_rows() -> None:
    whole = unit(piece("a", 8, 800, some=(2, 3, 5, 7)))
    one, two = parts_of(whole, divide(whole, whole_partitions=False))
    assert (one.pieces[0].row_groups, two.pieces[0].row_groups) == ((2, 3), (5, 7))
    assert (one.pieces[0].rows, one.pieces[0].decoded_bytes) == (-1, 400)


def test_what_is_decided_of_a_divided_unit_is_not_done_again() -> None:
    whole = unit(piece("a", 0), piece("b", 0))
    parts = divide(whole, whole_partitions=False)
    ledger = Ledger(splits={"u": parts}, decided={parts[0]["unit"]: "attempt"})
    assert [p.key for each in undecided(whole, ledger) for p in each.pieces] == ["b"]
