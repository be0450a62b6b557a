"""The values of an Arrow array as 64-bit words, one each, in a form that depends on the value alone.

Integers are sign-extended; floats are doubles with one NaN and no negative zero; times are
microseconds, with what is left of nanoseconds mixed in only where something is; decimals are their
unscaled value (their scale is the schema's); texts are their bytes. A null is a word of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as kinds

from raybackfill.control.arrow.list_views import without_views
from raybackfill.flow.digest.mixing import NULL, U64, constant, folded, multiplier
from raybackfill.flow.digest.texts import text_words

Words = Callable[[int, int], U64]
"""The words of the values from `start` to before `stop`; not to be written into."""

MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}
MILLIS_A_DAY = 86_400_000


def words_of(array: pa.Array) -> Words:
    """TypeError where the type has no canonical form (unions)."""
    array = _plain(array)
    if kinds.is_null(array.type):
        return lambda start, stop: np.full(stop - start, NULL)
    words = _words(array)
    if not array.null_count:
        return words
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    return lambda start, stop: np.where(valid[start:stop], words(start, stop), NULL)


def _plain(array: pa.Array) -> pa.Array:
    if isinstance(array.type, pa.BaseExtensionType):
        return _plain(array.storage)
    if kinds.is_run_end_encoded(array.type):
        return _plain(pc.run_end_decode(array))
    if kinds.is_list_view(array.type) or kinds.is_large_list_view(array.type):
        return without_views(pa.chunked_array([array])).combine_chunks()
    return array


def _words(array: pa.Array) -> Words:
    kind = array.type
    if kinds.is_boolean(kind):
        return _integers(array.cast(pa.uint8()))
    if kinds.is_integer(kind) or kinds.is_date32(kind):
        return _integers(array)
    if kinds.is_floating(kind):
        return _floats(_fixed(array, f"f{kind.bit_width // 8}"))
    if kinds.is_timestamp(kind) or kinds.is_time(kind) or kinds.is_duration(kind) or kinds.is_date64(kind):
        return _times(_fixed(array, f"i{kind.bit_width // 8}"), kind)
    if kinds.is_decimal(kind):
        return _wide_integers(_fixed(array, f"u{min(kind.byte_width, 8)}", max(kind.byte_width // 8, 1)))
    if kinds.is_interval(kind):
        return _two_words(_fixed(array, "u8", 2))
    if kinds.is_dictionary(kind):
        return _dictionary(array)
    if kinds.is_struct(kind):
        return _whole(_struct(array))
    if (
        kinds.is_map(kind)
        or kinds.is_list(kind)
        or kinds.is_large_list(kind)
        or kinds.is_fixed_size_list(kind)
    ):
        return _whole(_lists(array))
    return text_words(array)


def _fixed(array: pa.Array, code: str, width: int = 1) -> np.ndarray:
    """The values of a fixed-width type as they lie in memory, `width` numbers each; what stands under a
    null is anything."""
    size = np.dtype(code).itemsize * width
    data = array.buffers()[1]
    if len(array) == 0 or data is None:
        return np.empty((0, width) if width > 1 else 0, code)
    found = np.frombuffer(data, code, len(array) * width, array.offset * size)
    return found.reshape(-1, width) if width > 1 else found


def _integers(array: pa.Array) -> Words:
    kind = array.type
    letter = "u" if kinds.is_unsigned_integer(kind) else "i"
    values = _fixed(array, f"{letter}{kind.bit_width // 8}")
    if values.itemsize == 8:
        as_words = values.view(np.uint64)
        return lambda start, stop: as_words[start:stop]
    # int64 between: a negative number must fill the upper half with ones.
    return lambda start, stop: values[start:stop].astype(np.int64).view(np.uint64)


def _floats(values: np.ndarray) -> Words:
    def words(start: int, stop: int) -> U64:
        # Adding zero turns -0.0 into 0.0, and copies.
        doubles = values[start:stop].astype(np.float64) + 0.0
        nans = np.isnan(doubles)
        if nans.any():
            doubles[nans] = np.nan
        return doubles.view(np.uint64)

    return words


def _times(values: np.ndarray, kind: pa.DataType) -> Words:
    unit = "ms" if kinds.is_date64(kind) else kind.unit
    if unit != "ns":
        factor = np.int64(MICROS[unit])
        return lambda start, stop: (values[start:stop].astype(np.int64) * factor).view(np.uint64)

    def words(start: int, stop: int) -> U64:
        micros, rest = np.divmod(values[start:stop], np.int64(1000))
        found = micros.view(np.uint64)
        if rest.any():
            mixed = folded(found ^ (rest.view(np.uint64) * constant("nanoseconds")), multiplier("rest"))
            found = np.where(rest != 0, mixed, found)
        return found

    return words


def _wide_integers(values: np.ndarray) -> Words:
    """Two's complement in words, the lowest first. What only repeats the sign says nothing, so that a
    number has the same word in every width."""
    if values.ndim == 1:
        signed = values.view(f"i{values.itemsize}")
        return lambda start, stop: signed[start:stop].astype(np.int64).view(np.uint64)
    upper = [(index, multiplier(f"word {index}")) for index in range(1, values.shape[1])]

    def words(start: int, stop: int) -> U64:
        block = values[start:stop]
        found = block[:, 0].copy()
        sign = (block[:, 0].view(np.int64) >> np.int64(63)).view(np.uint64)
        for index, factor in upper:
            says = block[:, index] != sign
            if index > 1:
                # A middle word that repeats the sign counts where a higher one does not.
                says |= (block[:, index:] != sign[:, None]).any(axis=1)
            if says.any():
                found = np.where(says, folded(found ^ (block[:, index] * factor), factor), found)
        return found

    return words


def _two_words(values: np.ndarray) -> Words:
    factor = multiplier("word 1")
    return lambda start, stop: folded(values[start:stop, 0].copy(), factor) ^ values[start:stop, 1]


def _dictionary(array: pa.DictionaryArray) -> Words:
    of_values = words_of(array.dictionary)(0, len(array.dictionary))
    # What stands under a null index is anything, and must not be looked up.
    indices = array.indices.fill_null(0) if array.null_count else array.indices
    numbers = _fixed(indices, f"i{indices.type.bit_width // 8}")
    if not len(of_values):
        return lambda start, stop: np.full(stop - start, NULL)
    return lambda start, stop: of_values[numbers[start:stop]]


def _whole(words: U64) -> Words:
    return lambda start, stop: words[start:stop]


def _struct(array: pa.StructArray) -> U64:
    """As a row: its fields by name, in the order of names."""
    found = np.full(len(array), constant("struct"))
    fields = sorted((array.type.field(index).name, index) for index in range(array.type.num_fields))
    for name, index in fields:
        child = array.field(index)
        found ^= words_of(child)(0, len(array))
        folded(found, multiplier(name))
    return found


def _lists(array: pa.Array) -> U64:
    """The elements' words, each mixed with its place, added up; and how many they are."""
    starts, stops, elements = _elements(array)
    words = words_of(elements)(0, len(elements))
    lengths = stops - starts
    places = np.arange(len(elements)) - np.repeat(starts, lengths)
    placed = folded(words ^ (places.view(np.uint64) * constant("place")), multiplier("element"))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(placed, dtype=np.uint64)])
    found = sums[stops] - sums[starts]
    return folded(found ^ (lengths.view(np.uint64) * constant("length")), multiplier("list"))


def _elements(array: pa.Array) -> tuple[np.ndarray, np.ndarray, pa.Array]:
    """Where each list begins and ends within its elements, without those of nulls."""
    if array.null_count:
        # A null may have elements under it; they are no values.
        array = array.take(pa.array(np.arange(len(array))))
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    if kinds.is_fixed_size_list(array.type):
        size = array.type.list_size
        first = array.offset * size
        lengths = np.full(len(array), size, np.int64)
        elements = array.values.slice(first, len(array) * size)
        if array.null_count:
            elements = elements.filter(pa.array(np.repeat(valid, size)))
            lengths[~valid] = 0
        stops = np.cumsum(lengths)
        return stops - lengths, stops, elements
    offsets = array.offsets.to_numpy().astype(np.int64)
    values = array.values if not kinds.is_map(array.type) else _entries(array)
    first, last = int(offsets[0]), int(offsets[-1])
    return offsets[:-1] - first, offsets[1:] - first, values.slice(first, last - first)


def _entries(array: pa.MapArray) -> pa.StructArray:
    return pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"])
