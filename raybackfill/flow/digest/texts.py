"""Texts and bytes as 64-bit words, by their bytes as they are.

Arrow's views have a text's length and first bytes in place, and the rest if it is short: two words.
Of a longer text the rest is read eight bytes a step, for all texts at once.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import types as kinds

from raybackfill.flow.digest.mixing import U64, constant, folded, multiplier

IN_PLACE_BYTES = 12
PREFIX_BYTES = 4
# One by one beyond this: each step costs some calls, for however few texts are still that long.
STEPPED_BYTES_MAX = 1024

Places = npt.NDArray[np.int64]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def text_words(array: pa.Array) -> Callable[[int, int], U64]:
    """TypeError for a type that is neither text nor bytes."""
    array = _as_views(array)
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
        if long.all():
            second = _rests(second, (first & _LOW).astype(np.int64), buffers)
        elif long.any():
            second = second.copy()
            second[long] = _rests(second[long], (first[long] & _LOW).astype(np.int64), buffers)
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
        return _rests_in(buffers[0], offsets, lengths)
    numbers = (places & _LOW).astype(np.int64)
    found = np.empty(len(places), np.uint64)
    for number in np.unique(numbers).tolist():
        chosen = numbers == number
        found[chosen] = _rests_in(buffers[number], offsets[chosen], lengths[chosen])
    return found


def _rests_in(buffer: pa.Buffer, offsets: Places, lengths: Places) -> U64:
    found = np.full(len(offsets), constant("rest of a text"))
    stepped = lengths <= STEPPED_BYTES_MAX
    if stepped.all():
        return _stepped(buffer, offsets, lengths, found)
    data = memoryview(buffer)
    for index in np.flatnonzero(~stepped).tolist():
        start = int(offsets[index])
        hashed = sha256(data[start : start + int(lengths[index])]).digest()
        found[index] = np.uint64(int.from_bytes(hashed[:8], "little"))
    found[stepped] = _stepped(buffer, offsets[stepped], lengths[stepped], found[stepped])
    return found


def _stepped(buffer: pa.Buffer, offsets: Places, lengths: Places, words: U64) -> U64:
    # Eight bytes from any place on: they need not be aligned.
    eights = np.ndarray((buffer.size - 7,), np.dtype("<u8"), buffer, 0, (1,))
    factor = multiplier("step of a text")
    ends = offsets + (lengths - 8)
    at, shortest = PREFIX_BYTES, int(lengths.min(initial=0))
    found: U64 = words
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
