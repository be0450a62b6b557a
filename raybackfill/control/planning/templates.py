"""Decides what a key says: which keys fit a path template, and the columns and times they carry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.segments import (
    NULL_FOLDER,
    Segment,
    Text,
    check_segment,
    decode,
    parse_segment,
    pieces_of_name,
    raw_key,
    where,
)
from raybackfill.control.planning.times import (
    Code,
    check_zone,
    finest,
    interval_of,
    intervals_of,
    joined,
    known_chain,
    local_of,
    local_to_instants,
)
from raybackfill.errors import SpecError

FOUND_COLUMNS_MAX = 100
"""More columns than this found in keys are not a layout but data in the wrong place."""

_CHUNK_ROWS = 1 << 18
# Names beginning with "_" or ".", but for "." and "..", which are not names and fit nothing.
_SKIPPED = r"(^|/)(_|\.[^./]|\.\.[^/])|/$"
_NOT_A_NAME = r"(^|/)\.{0,2}(/|$)"


@dataclass(frozen=True)
class PathMatch:
    """What `PathTemplate.match` found, row by row for the keys.

    `skipped` keys (names beginning with "_" or ".", folder markers) never fit, and are not "other
    files". `values` has a column for each path column, null where the key does not fit or has none.
    `starts` and `ends` (int64 instants, half-open; null where unknown) are the interval of the only
    time of the template, None where it has none or several.
    """

    fits: pa.Array
    skipped: pa.Array
    values: pa.Table
    starts: pa.Array | None
    ends: pa.Array | None


@dataclass(frozen=True)
class PathTemplate:
    """A template of the key below `source.uri`, file name included. Made by `parse`."""

    text: str
    timezone: str
    segments: tuple[Segment, ...]
    text_columns: tuple[str, ...] = ()
    granularities: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, timezone: str) -> PathTemplate:
        """SpecError names the piece that is wrong."""
        check_zone(timezone)
        names = _split(text)
        last = len(names) - 1
        segments = tuple(parse_segment(name, folder=at < last) for at, name in enumerate(names))
        for segment in segments:
            check_segment(segment)
        if sum(segment.any_depth for segment in segments) > 1:
            raise SpecError(f"{text!r} has ** twice", next="write one **, and * for single folders")
        granularities = _granularities(segments)
        return cls(text, timezone, segments, _text_columns(segments, granularities), granularities)

    @property
    def time_columns(self) -> tuple[str, ...]:
        return tuple(self.granularities)

    @property
    def time_column(self) -> str | None:
        """The only time of the template, None where it has none or several."""
        return self.time_columns[0] if len(self.granularities) == 1 else None

    @property
    def literal_prefix(self) -> str:
        """The leading folders that are the same for all keys: "" or ending in "/"."""
        prefix = ""
        for segment in self.segments[:-1]:
            if not segment.is_literal:
                break
            prefix += segment.text + "/"
        return prefix

    def piece_of(self, key: str, time: str) -> Segment | None:
        """The folder `key=..` whose value is written with nothing but pieces of `time`, or None."""
        for segment in self.segments:
            whole = all(isinstance(token, str) or token in segment.times for token in segment.tokens)
            names = {piece.name for piece in segment.times}
            if segment.key == key and names == {time} and whole:
                return segment
        return None

    def column_type(self, name: str) -> pa.DataType:
        """date32 for a time without hours, timestamp(us, zone) for one with, string otherwise."""
        if name not in self.granularities:
            return pa.string()
        if self.granularities[name] in ("year", "month", "day"):
            return pa.date32()
        return pa.timestamp("us", self.timezone)

    def match(self, relative_keys: pa.Array) -> PathMatch:
        """Match keys below the URI (strings); SpecError where they hold more columns than can be meant."""
        keys = relative_keys
        if isinstance(keys, pa.ChunkedArray):
            keys = keys.combine_chunks()
        starts = range(0, max(len(keys), 1), _CHUNK_ROWS)
        parts = [self._match_chunk(keys.slice(start, _CHUNK_ROWS)) for start in starts]
        values = pa.concat_tables([part.values for part in parts], promote_options="default")
        fixed = [*self.time_columns, *self.text_columns]
        found = sorted(set(values.column_names) - {"", *fixed})
        _check_found(found)
        return PathMatch(
            pa.concat_arrays([part.fits for part in parts]),
            pa.concat_arrays([part.skipped for part in parts]),
            values.select([*fixed, *found]),
            None if parts[0].starts is None else pa.concat_arrays([part.starts for part in parts]),
            None if parts[0].ends is None else pa.concat_arrays([part.ends for part in parts]),
        )

    def _match_chunk(self, keys: pa.Array) -> PathMatch:
        skipped = pc.fill_null(pc.match_substring_regex(keys, _SKIPPED), False)
        groups = pc.extract_regex(keys, self._pattern)
        fits = pc.and_(
            pc.and_not(pc.is_valid(groups), skipped),
            pc.invert(pc.fill_null(pc.match_substring_regex(keys, _NOT_A_NAME), True)),
        )
        texts: dict[str, pa.Array] = {}
        numbers: list[tuple[str, str, pa.Array]] = []
        absent: dict[str, pa.Array] = {}
        for at, segment in enumerate(self.segments):
            if segment.any_depth or (segment.is_literal and segment.key is None):
                continue
            encoded = pc.dictionary_encode(pc.struct_field(groups, f"s{at}"))
            captures = segment.read(encoded.dictionary).take(encoded.indices)
            fits = pc.and_(fits, captures.fits)
            texts.update(captures.texts)
            numbers += captures.numbers
            for time in segment.times:
                absent[time.name] = pc.or_(absent.get(time.name, captures.null), captures.null)
        locals_, fits = self._times(numbers, absent, fits)
        found, fits = self._found(groups, fits)
        columns = {name: self._time_values(name, where(fits, local)) for name, local in locals_.items()}
        columns |= {name: where(fits, texts[name]) for name in self.text_columns}
        columns |= {name: where(fits, column) for name, column in found.items()}
        starts, ends = self._interval({name: where(fits, local) for name, local in locals_.items()})
        # A column that `match` takes away counts the rows of a template without columns.
        return PathMatch(fits, skipped, pa.table({"": pa.nulls(len(keys)), **columns}), starts, ends)

    @cached_property
    def _pattern(self) -> str:
        body = ""
        for at, segment in enumerate(self.segments):
            final = at == len(self.segments) - 1
            if segment.any_depth:
                body += f"(?P<s{at}>(?:[^/]+/)*)" + ("[^/]+" if final else "")
                continue
            inner = "[^/]*" if segment.key is not None else re.sub(r"\(\?P<\w+>", "(?:", segment.pattern)
            prefix = "" if segment.key is None else re.escape(f"{raw_key(segment)}=")
            body += f"{prefix}(?P<s{at}>{inner})" + ("" if final else "/")
        return f"^(?:{body})$"

    def _times(
        self, numbers: Sequence[tuple[str, str, pa.Array]], absent: Mapping[str, pa.Array], fits: pa.Array
    ) -> tuple[dict[str, pa.Array], pa.Array]:
        """Local times by name, and `fits` without those that do not exist or contradict themselves."""
        locals_: dict[str, pa.Array] = {}
        for name in self.time_columns:
            pieces, agree = joined([(piece, column) for own, piece, column in numbers if own == name])
            locals_[name] = local_of(pieces)
            exists = pc.and_(agree, locals_[name].is_valid())
            fits = pc.and_(fits, pc.or_(exists, absent[name]))
        return locals_, fits

    def _time_values(self, name: str, local: pa.Array) -> pa.Array:
        kind = self.column_type(name)
        if pa.types.is_date(kind):
            return local.cast(kind)
        return local_to_instants(local, self.timezone).cast(kind)

    def _interval(self, locals_: Mapping[str, pa.Array]) -> tuple[pa.Array | None, pa.Array | None]:
        name = self.time_column
        if name is None:
            return None, None
        return intervals_of(locals_[name], self.granularities[name], self.timezone)

    def _found(self, groups: pa.Array, fits: pa.Array) -> tuple[dict[str, pa.Array], pa.Array]:
        """The columns of `key=value` folders under * and **, and `fits` without keys that have one twice."""
        free = [at for at, segment in enumerate(self.segments) if segment.is_free and self._is_folder(at)]
        if not free:
            return {}, fits
        folders = [pc.utf8_trim(pc.struct_field(groups, f"s{at}"), characters="/") for at in free]
        joined_folders = pc.binary_join_element_wise(*folders, "/")
        encoded = pc.dictionary_encode(where(fits, joined_folders))
        taken = {*self.time_columns, *self.text_columns}
        found, single = _found_columns(encoded.dictionary, taken)
        fits = pc.and_(fits, pc.fill_null(single.take(encoded.indices), True))
        return {name: column.take(encoded.indices) for name, column in found.items()}, fits

    def _is_folder(self, at: int) -> bool:
        return at < len(self.segments) - 1 or self.segments[at].any_depth

    def folder_may_match(self, relative_folder: str, start_us: int | None, end_us: int | None) -> bool:
        """Whether keys below a folder ("dt=2025-01-01/", below the URI) can fit with a path time
        overlapping [start_us, end_us); True where that cannot be told."""
        names = relative_folder.removesuffix("/").split("/") if relative_folder else []
        if names and (re.search(_SKIPPED, "/".join(names)) or re.search(_NOT_A_NAME, "/".join(names))):
            return False
        if not any(segment.any_depth for segment in self.segments) and len(names) >= len(self.segments):
            return False
        pieces: dict[tuple[str, str], int] = {}
        for segment, name in zip(self.segments, names, strict=False):
            if segment.any_depth:
                break
            found = pieces_of_name(segment, name)
            if found is None or any(pieces.get(piece, value) != value for piece, value in found.items()):
                return False
            if segment.times and not found and self.time_column is not None:
                # A null time is in no interval.
                return start_us is None and end_us is None
            pieces |= found
        by_granularity = {granularity: value for (_, granularity), value in pieces.items()}
        return self.time_column is None or self._may_overlap(by_granularity, start_us, end_us)

    def _may_overlap(self, pieces: Mapping[str, int], start_us: int | None, end_us: int | None) -> bool:
        chain = known_chain(pieces)
        if not chain:
            return True
        parts: dict[str, Any] = {"month": 1, "day": 1, **{piece: pieces[piece] for piece in chain}}
        try:
            local = datetime(**parts)
        except ValueError:
            return False
        start, end = interval_of(local, chain[-1], self.timezone)
        return (end_us is None or start < end_us) and (start_us is None or end > start_us)


def path_columns(match_values: pa.Table, index: int) -> dict[str, pa.Scalar]:
    """The path columns of one key: a row of `PathMatch.values`."""
    return {name: match_values.column(name)[index] for name in match_values.column_names}


def _split(text: str) -> list[str]:
    if re.search(r"\{[^}]*/", text):
        raise SpecError(f"{text!r}: a piece has a /", next="write {ts:%Y}/{ts:%m} for {ts:%Y/%m}")
    return text.split("/")


def _granularities(segments: Sequence[Segment]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for segment in segments:
        for time in segment.times:
            codes = {part.granularity for part in time.parts if isinstance(part, Code)}
            found.setdefault(time.name, set()).update(codes)
    for name, granularities in found.items():
        if set(known_chain(granularities)) != granularities:
            listed = ", ".join(sorted(granularities))
            raise SpecError(f"{{{name}:..}} has {listed}, which is no time", next="write all from %Y down")
    return {name: finest(granularities) for name, granularities in found.items()}


def _text_columns(segments: Sequence[Segment], times: Mapping[str, str]) -> tuple[str, ...]:
    columns: list[str] = []
    for segment in segments:
        own = [token.name for token in segment.tokens if isinstance(token, Text)]
        if segment.column is not None and segment.tokens != (Text(segment.column),):
            own.append(segment.column)
        for name in own:
            if name in columns:
                raise SpecError(f"{segment.text!r}: {name} is there twice", next="name each differently")
            if name in times:
                raise SpecError(f"{segment.text!r}: {name} is a text and a time", next="name one differently")
            columns.append(name)
    return tuple(columns)


def _found_columns(folders: pa.Array, taken: set[str]) -> tuple[dict[str, pa.Array], pa.Array]:
    """Columns of the `key=value` names in folder paths, and which paths have each of them once."""
    names = pc.split_pattern(folders, "/")
    flat = pc.list_flatten(names)
    split = pc.extract_regex(flat, "^(?P<key>[^=]+)=(?P<value>(?s:.*))$")
    kept = pc.is_valid(split)
    owners = pc.list_parent_indices(names).filter(kept).to_numpy()
    keys = decode(pc.struct_field(split, "key").filter(kept))
    raw = pc.struct_field(split, "value").filter(kept)
    values = decode(raw)
    null = pc.or_(pc.equal(raw, ""), pc.equal(raw, NULL_FOLDER))
    single = np.ones(len(folders), dtype=bool)
    single[owners[pc.or_(pc.is_null(values), pc.is_null(keys)).to_numpy(zero_copy_only=False)]] = False
    columns: dict[str, pa.Array] = {}
    found = sorted(name for name in pc.unique(keys).to_pylist() if name is not None)
    _check_found(found)
    for name in found:
        own = pc.fill_null(pc.equal(keys, name), False)
        rows = owners[own.to_numpy(zero_copy_only=False)]
        single &= np.bincount(rows, minlength=len(folders)) <= (0 if name in taken else 1)
        at = np.full(len(folders), -1)
        at[rows] = np.arange(len(rows))
        columns[name] = where(pc.invert(null), values).filter(own).take(pa.array(at, mask=at < 0))
    return {name: column for name, column in columns.items() if name not in taken}, pa.array(single)


def _check_found(found: Sequence[str]) -> None:
    if len(found) > FOUND_COLUMNS_MAX:
        raise SpecError(
            f"the folders name=value of the keys have {len(found)} names: {', '.join(found[:3])}, ..",
            next="write source.path so that only the meant ones fit",
        )
