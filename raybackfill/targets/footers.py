"""Writes another stamp into a Parquet file's footer: its pages, and so its rows, stay byte for byte.

The footer is a struct in Thrift's compact protocol; its field 5 is a list of keys with values, which
readers keep for those who wrote them. Only that list is changed.
"""

from __future__ import annotations

from collections.abc import Iterator

MAGIC = b"PAR1"
TAIL_BYTES = 8
"""The footer's length, in four bytes, and the magic."""

KEY = "raybackfill.restored"

KEY_VALUES = 5
BINARY, LIST, SET, STRUCT = 8, 9, 10, 12
FIXED_BYTES = {1: 0, 2: 0, 3: 1, 7: 8}
VARINTS = frozenset({4, 5, 6})


class FooterError(ValueError):
    """The bytes are not a Parquet footer that can be read."""


def footer_bytes(tail: bytes) -> int:
    """How long the footer is before the file's last eight bytes, `tail`. FooterError where the file is no
    Parquet, or its footer is encrypted."""
    if len(tail) != TAIL_BYTES or tail[4:] != MAGIC:
        raise FooterError("it does not end as a Parquet file")
    return int.from_bytes(tail[:4], "little")


def restamped(footer: bytes, stamp: str) -> bytes:
    """What takes the place of the footer and the eight bytes after it."""
    changed = _with_key_value(footer, _key_value(KEY, stamp))
    return changed + len(changed).to_bytes(4, "little") + MAGIC


def _with_key_value(footer: bytes, entry: bytes) -> bytes:
    fields = list(_fields(footer))
    if fields[-1][3] != len(footer):
        raise FooterError("there is more behind its end")
    for field, kind, before, start, last in fields:
        if field == KEY_VALUES and kind == LIST:
            size, element, first = _list_header(footer, start)
            if element != STRUCT:
                raise FooterError("its keys and values are no structs")
            return footer[:start] + _list_of_structs(size + 1) + entry + footer[first:]
        if field > KEY_VALUES or kind == 0:
            # There is no such list: it comes before the next field, whose number is counted from it.
            added = bytes([(KEY_VALUES - last) << 4 | LIST]) + _list_of_structs(1) + entry
            header = b"\0" if kind == 0 else bytes([(field - KEY_VALUES) << 4 | kind])
            return footer[:before] + added + header + footer[start:]
    raise AssertionError("the end is a field too")


def _fields(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Of each field of the struct: its number, its type, where its header begins, where its value begins,
    and the number of the field before. The end is given as a field of type 0."""
    at, last = 0, 0
    while True:
        before = at
        field, kind, at = _field_header(data, at, last)
        yield field, kind, before, at, last
        if kind == 0:
            return
        at, last = _after(data, at, kind), field


def _field_header(data: bytes, at: int, last: int) -> tuple[int, int, int]:
    header = _byte(data, at)
    kind, delta = header & 15, header >> 4
    if kind == 0:
        return 0, 0, at + 1
    if delta:
        return last + delta, kind, at + 1
    number, at = _varint(data, at + 1)
    return (number >> 1) ^ -(number & 1), kind, at


def _after(data: bytes, at: int, kind: int) -> int:
    """Where the value of this type ends that begins at `at`."""
    if kind in FIXED_BYTES:
        return at + FIXED_BYTES[kind]
    if kind in VARINTS:
        return _varint(data, at)[1]
    if kind == BINARY:
        size, at = _varint(data, at)
        return at + size
    if kind in (LIST, SET):
        size, element, at = _list_header(data, at)
        for _ in range(size):
            at = at + 1 if element in (1, 2) else _after(data, at, element)
        return at
    if kind == STRUCT:
        last = 0
        while True:
            last, inner, at = _field_header(data, at, last)
            if inner == 0:
                return at
            at = _after(data, at, inner)
    raise FooterError(f"it has a value of the unknown type {kind}")


def _list_header(data: bytes, at: int) -> tuple[int, int, int]:
    """How many elements, of which type, and where the first one begins."""
    header = _byte(data, at)
    size, at = header >> 4, at + 1
    if size == 15:
        size, at = _varint(data, at)
    return size, header & 15, at


def _list_of_structs(size: int) -> bytes:
    return bytes([size << 4 | STRUCT]) if size < 15 else bytes([0xF0 | STRUCT]) + _as_varint(size)


def _key_value(key: str, value: str) -> bytes:
    """A struct of two texts, its fields 1 and 2."""
    texts = (text.encode() for text in (key, value))
    return b"".join(bytes([1 << 4 | BINARY]) + _as_varint(len(text)) + text for text in texts) + b"\0"


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise FooterError("it ends too early")
    return data[at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = _byte(data, at)
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _as_varint(value: int) -> bytes:
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
