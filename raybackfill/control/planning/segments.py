"""Decides what one name of a path says: literals, pieces of text and time, and `key=value`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.times import Code, parse_format
from raybackfill.errors import SpecError

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


_NAME = re.compile(r"[^\W\d][\w-]*")


@dataclass(frozen=True, slots=True)
class Text:
    """`{name}`: a column of text."""

    name: str


@dataclass(frozen=True, slots=True)
class Time:
    """`{name:%Y-%m}`: a piece of a time."""

    name: str
    parts: tuple[str | Code, ...]


@dataclass(frozen=True, slots=True)
class Star:
    """`*`: anything within a segment."""


Token = str | Text | Time | Star


@dataclass(frozen=True)
class Captures:
    """What was read of each value of a segment: whether it fits, whether it is null, its texts by
    column, and the numbers of its times as (name, granularity, column)."""

    fits: pa.Array
    null: pa.Array
    texts: Mapping[str, pa.Array]
    numbers: Sequence[tuple[str, str, pa.Array]]

    @property
    def pieces(self) -> list[tuple[str, pa.Array]]:
        """The numbers of a segment with one time."""
        return [(granularity, column) for _, granularity, column in self.numbers]

    def take(self, indices: pa.Array) -> Captures:
        """The captures of values that `indices` point to; a null index fits nothing."""
        return Captures(
            pc.fill_null(self.fits.take(indices), False),
            pc.fill_null(self.null.take(indices), False),
            {name: column.take(indices) for name, column in self.texts.items()},
            [(name, granularity, column.take(indices)) for name, granularity, column in self.numbers],
        )


@dataclass(frozen=True)
class Segment:
    """One name of a path. `key` is set for a folder `key=value`, whose tokens are of the value."""

    text: str
    key: str | None
    tokens: tuple[Token, ...]

    @property
    def any_depth(self) -> bool:
        """Whether it is `**`."""
        return self.text == "**"

    @cached_property
    def is_literal(self) -> bool:
        """Whether all keys have the same name here."""
        return all(isinstance(token, str) for token in self.tokens)

    @property
    def is_free(self) -> bool:
        """Whether folders that it matches may be `key=value` by themselves."""
        return self.key is None and any(isinstance(token, Star) for token in self.tokens)

    @cached_property
    def times(self) -> tuple[Time, ...]:
        return tuple(token for token in self.tokens if isinstance(token, Time))

    @cached_property
    def code_groups(self) -> tuple[tuple[str, str, str], ...]:
        """For each code the group of `pattern`, the time's name and the granularity."""
        return tuple(
            (f"c{place}_{nth}", token.name, part.granularity)
            for place, token in enumerate(self.tokens)
            if isinstance(token, Time)
            for nth, part in enumerate(token.parts)
            if isinstance(part, Code)
        )

    @property
    def column(self) -> str | None:
        """The text column of `key=value`, unless a time of that name stands in it."""
        return None if any(time.name == self.key for time in self.times) else self.key

    @cached_property
    def pattern(self) -> str:
        """Regular expression of the (decoded) value, with a group for each text and code."""
        anything = "[^/]" if self.key is None else "(?s:.)"
        parts: list[str] = []
        for place, token in enumerate(self.tokens):
            if isinstance(token, str):
                parts.append(re.escape(token))
            elif isinstance(token, Star):
                parts.append(f"{anything}*")
            elif isinstance(token, Text):
                parts.append(f"(?P<t{place}>{anything}+)")
            else:
                parts += [
                    re.escape(part) if isinstance(part, str) else f"(?P<c{place}_{nth}>{part.pattern})"
                    for nth, part in enumerate(token.parts)
                ]
        return "".join(parts)

    def read(self, raw: pa.Array) -> Captures:
        """Read names of a key, or the values after "key=", which are percent-decoded and may be null."""
        if self.key is None:
            return self.read_texts(raw, pa.repeat(False, len(raw)))
        null = pc.or_(pc.equal(raw, ""), pc.equal(raw, NULL_FOLDER))
        # A literal value is no piece of anything: it is the same for all keys, null or not.
        captures = self.read_texts(decode(raw), pc.fill_null(null, False))
        if not self.is_literal:
            return captures
        return replace(captures, fits=pc.equal(raw, self.text.partition("=")[2]))

    def read_texts(self, texts: pa.Array, null: pa.Array) -> Captures:
        """Read values that are decoded already; those that are `null` fit whatever they say."""
        groups = pc.extract_regex(texts, f"^(?:{self.pattern})$")
        captured = pc.fill_null(pc.is_valid(groups), False)
        clear = pc.and_not(captured, null)
        columns = {} if self.column is None else {self.column: where(clear, texts)}
        for place, token in enumerate(self.tokens):
            if isinstance(token, Text):
                columns[token.name] = where(clear, pc.struct_field(groups, f"t{place}"))
        numbers = [
            (name, granularity, where(clear, pc.struct_field(groups, group)).cast(pa.int16()))
            for group, name, granularity in self.code_groups
        ]
        return Captures(pc.or_(null, captured), null, columns, numbers)


def parse_segment(text: str, *, folder: bool) -> Segment:
    """Read one name of a template. SpecError names the piece that is wrong."""
    if text == "**":
        return Segment(text, None, (Star(),))
    key, equals, value = text.partition("=")
    if not (folder and equals and key) or any(character in key for character in "{}*"):
        return Segment(text, None, parse_tokens(text))
    tokens = tuple(unquote(token) if isinstance(token, str) else token for token in parse_tokens(value))
    return Segment(text, unquote(key), tokens)


def decode(values: pa.Array) -> pa.Array:
    """Percent-decode texts; null where the bytes are not UTF-8."""
    if not pc.any(pc.match_substring(values, "%")).as_py():
        return values
    return pa.array([None if text is None else _decoded(text) for text in values.to_pylist()], pa.string())


def _decoded(text: str) -> str | None:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return None


def parse_tokens(text: str) -> tuple[Token, ...]:
    """The literals, stars and pieces of a text. SpecError names the piece that is wrong."""
    if not re.fullmatch(r"(?:[^{}]|\{[^{}]*\})*", text):
        raise SpecError(f"{text!r}: the braces do not match", next="write {name} or {name:%Y-%m-%d}")
    tokens: list[Token] = []
    for part in re.findall(r"\{[^}]*\}|\*|[^{*]+", text):
        if part == "*":
            tokens.append(Star())
        else:
            tokens.append(_piece(part) if part.startswith("{") else part)
    return tuple(tokens)


def _piece(text: str) -> Text | Time:
    name, colon, pattern = text[1:-1].partition(":")
    if not _NAME.fullmatch(name):
        raise SpecError(f"{text}: {name!r} is not a name", next="write {name} or {name:%Y-%m-%d}")
    return Time(name, parse_format(pattern, text)) if colon else Text(name)


def check_segment(segment: Segment) -> None:
    text = segment.text
    if text in ("", ".", ".."):
        raise SpecError("a folder or file of the path has no name", next='write it like "dt={dt:%Y-%m-%d}/*"')
    if text[0] in "_.":
        raise SpecError(
            f"{text!r}: names beginning with _ or . are skipped, so no key fits", next="put it in the uri"
        )
    if "**" in text and not segment.any_depth:
        raise SpecError(f"{text!r}: ** stands alone between two /", next="write * within a name")
    for first, second in itertools.pairwise(segment.tokens):
        if isinstance(first, Text | Star) and isinstance(second, Text | Star):
            raise SpecError(f"{text!r}: it cannot be told where a piece ends", next="put text between them")


def raw_key(segment: Segment) -> str:
    return segment.text.partition("=")[0]


def pieces_of_name(segment: Segment, name: str) -> dict[tuple[str, str], int] | None:
    """What `Segment.read` finds of the times in one name, without the cost of an array for each folder of
    a listing: by time and granularity. None where the name does not fit, nothing where it is null."""
    if segment.is_literal:
        return {} if name == segment.text else None
    value: str | None = name
    if segment.key is not None:
        key, equals, raw = name.partition("=")
        if not equals or key != raw_key(segment):
            return None
        if raw in ("", NULL_FOLDER):
            return {}
        value = _decoded(raw)
    match = None if value is None else re.fullmatch(segment.pattern, value)
    if match is None:
        return None
    pieces: dict[tuple[str, str], int] = {}
    for group, time, granularity in segment.code_groups:
        if pieces.setdefault((time, granularity), int(match[group])) != int(match[group]):
            return None
    return pieces


def where(kept: pa.Array, column: pa.Array) -> pa.Array:
    return pc.if_else(kept, column, pa.scalar(None, column.type))
