"""Decides whether a CSV's quotes are well formed, while its bytes stream by.

pyarrow reads on where a quote is not closed, or is closed in the middle of a field: the lines
between two stray quotes become one value, and nothing is said. Quotes are therefore watched: each
that opens must follow a delimiter or a line end, each that closes must precede one. Where that
does not hold, `first_malformed` reads the text again, record by record, and tells.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

_QUOTE = 0x22
_LINE_ENDS = (0x0A, 0x0D)


class QuoteWatch:
    """Sees all bytes of a text, in order and in blocks of any size; `delimiter` is one ASCII character."""

    def __init__(self, delimiter: str) -> None:
        self._beside = np.zeros(256, dtype=bool)
        self._beside[[_QUOTE, ord(delimiter), *_LINE_ENDS]] = True
        self._last = _LINE_ENDS[0]
        self._inside = False
        self._must_end = False
        self.suspicious = False

    def see(self, data: bytes) -> None:
        if not data:
            return
        if self._must_end and not self._beside[data[0]]:
            self.suspicious = True
        self._must_end = False
        if b'"' in data:
            self._look(np.frombuffer(data, dtype=np.uint8))
        self._last = data[-1]

    def _look(self, block: np.ndarray) -> None:
        at = np.flatnonzero(block == _QUOTE)
        closing = (np.arange(len(at)) + self._inside) % 2 == 1
        before = np.where(at == 0, self._last, block[at - 1])
        after = block[np.minimum(at + 1, len(block) - 1)]
        after_known = at + 1 < len(block)
        well = np.where(closing, self._beside[after] | ~after_known, self._beside[before])
        self.suspicious = self.suspicious or not bool(well.all())
        self._must_end = bool(closing[-1] and not after_known[-1])
        self._inside = not closing[-1]

    def end(self) -> None:
        """There are no more bytes."""
        self.suspicious = self.suspicious or self._inside

    @property
    def inside(self) -> bool:
        """Whether the bytes so far end within quotes."""
        return self._inside


def first_malformed(lines: Iterable[str], delimiter: str) -> tuple[int, str] | None:
    """The first record (counted from 1) whose quotes are malformed and what is wrong, or None.

    A quote within a field that does not begin with one is an ordinary character.
    """
    count = 0
    try:
        with _fields_of_any_size():
            for _ in csv.reader(lines, delimiter=delimiter, strict=True):
                count += 1
    except csv.Error as error:
        return count + 1, str(error)
    return None


def first_record(text: str, delimiter: str) -> list[str] | None:
    """The fields of the first record that is not blank, or None where there is none."""
    with _fields_of_any_size():
        records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return next((record for record in records if record), None)


@contextmanager
def _fields_of_any_size() -> Iterator[None]:
    """Python's csv refuses fields of more than 128 kB unless it is told, for the whole process."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def whole_records(data: bytes) -> int:
    """How many of the bytes are whole records: up to the last line end that is outside quotes."""
    block = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero((block == _LINE_ENDS[0]) | (block == _LINE_ENDS[1]))
    quotes = np.flatnonzero(block == _QUOTE)
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0


class TextStream(io.RawIOBase):
    """A CSV's bytes in UTF-8 for pyarrow, with a line end at the end; `watch` sees them all.

    `file` is read once, from where it stands; `encoding` is a Python codec's name. UnicodeDecodeError
    where the bytes are not in that encoding.
    """

    def __init__(self, file: pa.NativeFile, encoding: str, watch: QuoteWatch) -> None:
        super().__init__()
        self._file = file
        self._decoder = None if is_utf8(encoding) else codecs.getincrementaldecoder(encoding)()
        self._watch = watch
        self._last = b"\n"
        self._ahead = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """About `size` bytes or fewer; none only at the end."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        return self._next(size)

    def peek_record(self, most: int) -> bytes:
        """The first bytes, at least one whole record of them if that takes no more than about
        `most`; they are read again afterwards."""
        step = 64 * 1024
        while not whole_records(self._ahead) and len(self._ahead) < most:
            more = self._next(step)
            if not more:
                break
            self._ahead += more
        return self._ahead

    def _next(self, size: int) -> bytes:
        while not self._ended:
            data = bytes(self._file.read(size if size > 0 else None))
            self._ended = not data
            text = self._decoder.decode(data, not data).encode() if self._decoder else data
            if text:
                self._watch.see(text)
                self._last = text[-1:]
                return text
        missing = self._last not in (b"\n", b"\r") and not self._watch.inside
        self._last = b"\n"
        self._watch.end()
        return b"\n" if missing else b""


def recoded(data: bytes, encoding: str, whole: bool) -> bytes:
    """The text in UTF-8. Unless these are the `whole` text's bytes, a character that is cut off at
    the end is left out."""
    if is_utf8(encoding):
        return data
    return codecs.getincrementaldecoder(encoding)().decode(data, whole).encode()


def is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
