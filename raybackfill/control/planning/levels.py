"""Decides how one level of the target's folders is named by a value, and the value that a name gives back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.scope import typed
from raybackfill.control.planning.segments import NULL_FOLDER, Segment, Star, Time, parse_tokens
from raybackfill.control.planning.times import Code, finest, floor_local, format_local, to_local
from raybackfill.errors import SpecError, UnitError
from raybackfill.spec.values import PartitionField

# The characters that Hive and Spark escape; everything else, spaces and letters of all scripts
# included, stands as it is.
_ESCAPED = re.compile(r'[\x00-\x1f\x7f"#%\'*/:=?\\{\[\]^]')


@dataclass(frozen=True)
class Level:
    """One folder level. `segment` reads the value; `time` is the column of a template, else None."""

    name: str
    segment: Segment
    time: str | None

    @property
    def granularity(self) -> str:
        return finest({part.granularity for part in codes_of(self.segment)})

    def texts(self, column: pa.Array, zone: str) -> pa.DictionaryArray:
        """The folder name of each row."""
        if self.time is None:
            values, write = column, writer_of(column.type, self.name)
        else:
            values = floor_local(to_local(column, zone), self.granularity)
            write = self._write_times
        encoded = encode(values)
        texts = [f"{escape(self.name)}={text}" for text in write(encoded.dictionary)]
        codes = encoded.indices
        if codes.null_count:
            codes = pc.fill_null(codes, len(texts))
            texts.append(f"{escape(self.name)}={NULL_FOLDER}")
        # Different times may be one folder: hour=05 of two days.
        names = pc.dictionary_encode(pa.array(texts, pa.string()))
        if len(texts) > 1:
            codes = names.indices.take(codes)
        return pa.DictionaryArray.from_arrays(codes, names.dictionary)

    def _write_times(self, values: pa.Array) -> Iterator[str]:
        _check_years(values, str(self.time))
        for local in values.to_pylist():
            yield escape(written(self.segment, local))


def escape(text: str) -> str:
    """A text as Hive and Spark write it in a folder's name."""
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", text)


def written(segment: Segment, local: datetime) -> str:
    """What a segment of literals and pieces of one time says for a local time."""
    return "".join(
        token if isinstance(token, str) else format_local(token.parts, local)
        for token in segment.tokens
        if isinstance(token, str | Time)
    )


def level_of(field: PartitionField) -> Level:
    if field.template is None:
        return Level(field.name, Segment(f"{field.name}=*", field.name, (Star(),)), None)
    segment = Segment(f"{field.name}={field.template}", field.name, parse_tokens(field.template))
    names = {time.name for time in segment.times}
    if len(names) != 1 or not all(isinstance(token, str | Time) for token in segment.tokens):
        raise wrong_layout(f"{field.template!r} is not made of one time", 'write it like "{ts:%Y-%m-%d}"')
    return Level(field.name, segment, next(iter(names)))


def codes_of(segment: Segment) -> list[Code]:
    return [part for time in segment.times for part in time.parts if isinstance(part, Code)]


def wrong_layout(message: str, next_step: str) -> SpecError:
    return SpecError(message, where="target.partition_by", next=next_step)


def value_type(kind: pa.DataType) -> pa.DataType:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.string() if pa.types.is_string_view(kind) else kind


def encode(values: pa.Array) -> pa.DictionaryArray:
    """Dictionary-encoded; the usual batch of one folder is seen by its least and greatest value."""
    bounds = pc.min_max(values)
    if values.null_count == 0 and len(values) and bounds["min"] == bounds["max"]:
        codes = pa.repeat(pa.scalar(0, pa.int32()), len(values))
        return pa.DictionaryArray.from_arrays(codes, values.slice(0, 1))
    return pc.dictionary_encode(values)


def writer_of(kind: pa.DataType, name: str) -> Callable[[pa.Array], Iterator[str]]:
    """How values of a column's type are written in a folder's name; they are not null."""
    types = pa.types
    if types.is_date(kind) or types.is_timestamp(kind):
        return lambda values: _write_moments(values, name)
    if types.is_string(kind) or types.is_large_string(kind):
        return lambda values: (_write_text(text, name) for text in values.to_pylist())
    if types.is_null(kind):
        return lambda values: iter(())
    if types.is_boolean(kind):
        return lambda values: ("true" if value else "false" for value in values.to_pylist())
    if types.is_integer(kind):
        return lambda values: (str(value) for value in values.to_pylist())
    if types.is_decimal(kind):
        return lambda values: (f"{value:f}" for value in values.to_pylist())
    raise wrong_layout(f"column {name} is {kind}", "partition by text, integers, decimals, bools or times")


def _write_text(text: str, name: str) -> str:
    if text in ("", NULL_FOLDER):
        raise UnitError(
            f"column {name} holds {text!r}, which in a folder's name would be read back as null",
            where="target.partition_by",
            next="write null or another text in the job",
        )
    return escape(text)


def _write_moments(values: pa.Array, name: str) -> Iterator[str]:
    """ISO dates; times without trailing zeros, UTC with a Z where the column has a zone."""
    _check_years(values, name)
    kind = values.type
    if pa.types.is_date(kind):
        return (value.isoformat() for value in values.to_pylist())
    plain = values.cast(pa.int64()).cast(pa.timestamp(kind.unit))
    texts = pc.strftime(plain, format="%Y-%m-%dT%H:%M:%S")
    short = pc.replace_substring_regex(texts, r"(\.[0-9]*?)0+$", r"\1")
    short = pc.replace_substring_regex(short, r"\.$", "")
    return (escape(text + ("Z" if kind.tz else "")) for text in short.to_pylist())


def _check_years(values: pa.Array, name: str) -> None:
    plain = values.cast(pa.int64()).cast(pa.timestamp(values.type.unit)) if _zoned(values.type) else values
    bounds = pc.min_max(pc.year(plain))
    if bounds["min"].is_valid and not (bounds["min"].as_py() >= 1 and bounds["max"].as_py() <= 9999):
        raise UnitError(
            f"column {name} holds years from {bounds['min']} to {bounds['max']}; folders have 1 to 9999",
            where="target.partition_by",
            next="drop or correct such rows in the job",
        )


def _zoned(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.tz is not None


def restored_value(text: str | None, kind: pa.DataType, folder: str) -> pa.Scalar:
    if text is None:
        return pa.scalar(None, kind)
    if _zoned(kind) and not text.endswith("Z"):
        raise SpecError(f"the folder {folder!r} does not say the zone of its time", where="target.uri")
    return typed(text, kind, "UTC", f"the folder {folder!r}")
