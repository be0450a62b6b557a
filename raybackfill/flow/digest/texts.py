"""Texts and bytes as 64-bit words, by their bytes as they are.

Arrow's views have a text's length and first bytes in place, and the rest if it is short: two words.
Of a longer text the rest is read eight bytes a step, for all texts at once; and long ones are laid out
with all their words in one row, each mixed with its place and added up. A text's length alone decides
which of the three it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as kinds

from raybackfill.flow.digest.mixing import U64, constant, folded, multiplier

IN_PLACE_BYTES = 12
PREFIX_BYTES = 4
# Each step costs some calls, for however few texts are still that long, and jumps from text to text.
STEPPED_BYTES_MAX = 160
# With fewer the calls cost more than the words; with more they leave the caches.
WORDS_AT_ONCE = 131_072

Places = npt.NDArray[np.int64]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_FILLING = pa.array([b"\0" * count for count in range(8)], pa.large_binary())
_NOTHING = pa.scalar(b"", pa.large_binary())


def text_words(array: pa.Array) -> Callable[[int, int], U64]:
    """TypeError for a type that is neither text nor bytes."""
    given, array = array, _as_views(array)
    if len(array) == 0:
        return lambda start, stop: np.empty(0, np.uint64)
    valid = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    _, views, *buffers = array.buffers()
    pairs = np.frombuffer(views, np.uint64, 2 * len(array), array.offset * 16).reshape(-1, 2)
    factor = multiplier("text")

    def words(start: int, stop: int) -> U64:
        # Its length and first four bytes; and the rest, or where that is.
        first, second = pairs[start:stop, 0], pairs[start:stop, 1]
        long = (first & _LOW) > IN_PLACE_BYTES
        if valid is not None:
            # What stands under a null is anything, and may point anywhere.
            long &= valid[start:stop]
        found = folded(first.copy(), factor)
        if long.any():
            second = second.copy()
            numbers = np.flatnonzero(long)
            lengths = (first[numbers] & _LOW).astype(np.int64)
            in_steps = lengths <= STEPPED_BYTES_MAX
            some, others = numbers[in_steps], numbers[~in_steps]
            if len(some):
                second[some] = _rests(second[some], lengths[in_steps], buffers)
            if len(others):
                second[others] = _in_rows(given.slice(start, stop - start), others, lengths[~in_steps])
        return np.bitwise_xor(found, second, out=found)

    return words


def _as_views(array: pa.Array) -> pa.Array:
    kind = array.type
    if kinds.is_string_view(kind) or kinds.is_binary_view(kind):
        return array
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        return array.cast(pa.string_view())
    if kinds.is_fixed_size_binary(kind):
        array = array.cast(pa.binary())
    if kinds.is_binary(array.type) or kinds.is_large_binary(array.type):
        return array.cast(pa.binary_view())
    raise TypeError(f"{kind} has no canonical form")


def _rests(places: U64, lengths: Places, buffers: list[pa.Buffer]) -> U64:
    """A word for what follows the first four bytes. `places`: the number of the buffer, and where in it
    the text begins."""
    offsets = (places >> _HALF).astype(np.int64)
    if len(buffers) == 1:
        return _stepped(buffers[0], offsets, lengths)
    numbers = (places & _LOW).astype(np.int64)
    found = np.empty(len(places), np.uint64)
    for number in np.unique(numbers).tolist():
        chosen = numbers == number
        found[chosen] = _stepped(buffers[number], offsets[chosen], lengths[chosen])
    return found


def _stepped(buffer: pa.Buffer, offsets: Places, lengths: Places) -> U64:
    # Eight bytes from any place on: they need not be aligned.
    eights = np.ndarray((buffer.size - 7,), np.dtype("<u8"), buffer, 0, (1,))
    factor = multiplier("step of a text")
    ends = offsets + (lengths - 8)
    at, shortest = PREFIX_BYTES, int(lengths.min(initial=0))
    words = found = np.full(len(offsets), constant("rest of a text"))
    numbers = None
    while True:
        # The last step overlaps the one before it, so that it ends with the text.
        words = folded(words ^ eights[np.minimum(offsets + at, ends)], factor)
        at += 8
        if at < shortest:
            continue
        if numbers is None:
            found = words
        else:
            found[numbers] = words
        longer = np.flatnonzero(ends + 8 > offsets + at)
        if not len(longer):
            return found
        numbers = longer if numbers is None else numbers[longer]
        offsets, ends, words = offsets[longer], ends[longer], words[longer]
        shortest = int((ends - offsets).min()) + 8


def _in_rows(texts: pa.Array, numbers: Places, lengths: Places) -> U64:
    """A word for each of these texts, some at a time."""
    texts = texts.cast(pa.binary()) if kinds.is_fixed_size_binary(texts.type) else texts
    texts = texts.cast(pa.large_binary())
    found, start = np.empty(len(numbers), np.uint64), 0
    words = np.cumsum((lengths + 7) >> 3)
    while start < len(numbers):
        before = int(words[start - 1]) if start else 0
        stop = max(int(np.searchsorted(words, before + WORDS_AT_ONCE)), start + 1)
        found[start:stop] = _in_a_row(_chosen(texts, numbers[start:stop]))
        start = stop
    return found


def _chosen(texts: pa.Array, numbers: Places) -> pa.Array:
    first, last = int(numbers[0]), int(numbers[-1])
    side_by_side = last - first + 1 == len(numbers)
    return texts.slice(first, len(numbers)) if side_by_side else texts.take(pa.array(numbers))


def _in_a_row(texts: pa.LargeBinaryArray) -> U64:
    filling = _FILLING.take(pc.bit_wise_and(pc.negate(pc.binary_length(texts)), 7))
    filled = pc.binary_join_element_wise(texts, filling, _NOTHING)
    offsets = np.frombuffer(filled.buffers()[1], np.int64, len(filled) + 1, filled.offset * 8) >> 3
    firsts = offsets[:-1]
    data = np.frombuffer(filled.buffers()[2], "<u8", int(offsets[-1]))
    words = np.arange(len(data), dtype=np.uint64)
    words -= np.repeat(firsts, np.diff(offsets)).view(np.uint64)
    words *= constant("place")
    words ^= data
    return np.add.reduceat(folded(words, multiplier("step of a text")), firsts)
