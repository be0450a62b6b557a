"""Reading ahead: the same items in the same order, several small pieces at once, errors in their turn."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier, Lock, get_ident

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.flow.ahead import PIECES_AHEAD, SMALL_BYTES, read_ahead
from raybackfill.model import Piece


def piece(key: str, decoded_bytes: int) -> Piece:
    return Piece(key, 1, "tag", None, -1, decoded_bytes)


def items_of(one: Piece) -> Iterator[str]:
    for number in range(one.size + int(one.key) % 3):
        yield f"{one.key}.{number}"


@given(st.lists(st.sampled_from([1, SMALL_BYTES, SMALL_BYTES + 1, 10 * SMALL_BYTES]), max_size=30))
def test_items_come_in_the_order_of_their_pieces(sizes: list[int]) -> None:
    pieces = [piece(str(number), size) for number, size in enumerate(sizes)]
    expected = [(one, item) for one in pieces for item in items_of(one)]
    assert list(read_ahead(pieces, items_of)) == expected


def test_small_pieces_are_read_at_the_same_time() -> None:
    together = Barrier(PIECES_AHEAD, timeout=30)

    def read(one: Piece) -> Iterator[str]:
        together.wait()
        yield one.key

    pieces = [piece(str(number), 1) for number in range(2 * PIECES_AHEAD)]
    assert [item for _, item in read_ahead(pieces, read)] == [one.key for one in pieces]


def test_a_large_piece_is_read_one_item_ahead_and_no_more() -> None:
    lock, made = Lock(), []

    def read(one: Piece) -> Iterator[int]:
        for number in range(10):
            with lock:
                made.append(get_ident())
            yield number

    reading = read_ahead([piece("0", 10 * SMALL_BYTES)], read)
    assert next(reading)[1] == 0
    assert next(reading)[1] == 1
    with lock:
        assert 2 <= len(made) <= 3
        assert get_ident() not in made
    reading.close()


@pytest.mark.parametrize("size", [1, 10 * SMALL_BYTES])
def test_an_error_comes_in_its_turn(size: int) -> None:
    def read(one: Piece) -> Iterator[str]:
        yield one.key
        if one.key == "3":
            raise ValueError("broken")

    seen = []
    with pytest.raises(ValueError, match="broken"):
        for _, item in read_ahead([piece(str(number), size) for number in range(20)], read):
            seen.append(item)
    assert seen[:3] == ["0", "1", "2"]
    assert seen in (["0", "1", "2"], ["0", "1", "2", "3"])
