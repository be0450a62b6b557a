"""Moves the text of an Arrow type to the type, and back."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from raybackfill.errors import SpecError
from raybackfill.spec.nodes import shown
from raybackfill.spec.scalars import timezone

EXAMPLES = (
    "string, int64, double, bool, date, timestamp(us, UTC), timestamp(us), decimal(18,3), binary, "
    "list<int64>, struct<a: int64, b: string>"
)

_SIMPLE = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "double": pa.float64(),
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "binary_view": pa.binary_view(),
    "date": pa.date32(),
    "date32": pa.date32(),
    "date64": pa.date64(),
}

# Names of other systems. Arrow calls 32 bits "float", most others mean 64: neither is guessed.
_INSTEAD = {
    "float": "float32 or double",
    "int": "int64",
    "integer": "int64",
    "bigint": "int64",
    "smallint": "int16",
    "long": "int64",
    "str": "string",
    "text": "string",
    "varchar": "string",
    "utf8": "string",
    "boolean": "bool",
    "datetime": "timestamp(us) or timestamp(us, UTC)",
    "numeric": "decimal(18,3)",
    "bytes": "binary",
    "array": "list<int64>",
}

_DEPTH_MAX = 32
_UNITS = {"timestamp": ("s", "ms", "us", "ns"), "time32": ("s", "ms"), "time64": ("us", "ns")}
_UNITS["duration"] = _UNITS["timestamp"]


def arrow_type(text: str) -> pa.DataType:
    """The type a text names, such as `decimal(18,3)` or `struct<a: int64, b: list<string>>`.

    SpecError with examples otherwise.
    """
    parser = _Parser(text)
    try:
        found = parser.type(0)
    except (ValueError, OverflowError, TypeError, pa.ArrowException):
        # What Arrow raises for a type that cannot be, such as a decimal of 99 digits.
        raise parser.error() from None
    parser.end()
    return found


def arrow_type_text(type_: pa.DataType) -> str:
    """The text that `arrow_type` reads as this type. SpecError where it has none (dictionaries)."""
    text = _nested_text(type_) or _flat_text(type_)
    if text is None:
        raise SpecError(f"the Arrow type {type_} has no text here", next="cast it to a plain type")
    return text


def _flat_text(type_: pa.DataType) -> str | None:
    if pa.types.is_timestamp(type_):
        return f"timestamp({type_.unit}, {type_.tz})" if type_.tz else f"timestamp({type_.unit})"
    if pa.types.is_time(type_) or pa.types.is_duration(type_):
        return f"{str(type_).split('[')[0]}({type_.unit})"
    if pa.types.is_decimal128(type_) or pa.types.is_decimal256(type_):
        return f"decimal{type_.bit_width}({type_.precision},{type_.scale})"
    if pa.types.is_fixed_size_binary(type_):
        return f"fixed_size_binary({type_.byte_width})"
    return next((name for name, simple in _SIMPLE.items() if simple.equals(type_)), None)


def _nested_text(type_: pa.DataType) -> str | None:
    if pa.types.is_struct(type_):
        return f"struct<{', '.join(_field_text(type_.field(i)) for i in range(type_.num_fields))}>"
    if pa.types.is_map(type_):
        return f"map<{arrow_type_text(type_.key_type)}, {arrow_type_text(type_.item_type)}>"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        name = "list" if pa.types.is_list(type_) else "large_list"
        return f"{name}<{_field_text(type_.value_field)}>"
    return None


def _field_text(field: pa.Field) -> str:
    return f"{field.name}: {arrow_type_text(field.type)}{'' if field.nullable else ' not null'}"


class _Parser:
    """Reads one type from the left; `_at` is how far it came."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def type(self, depth: int) -> pa.DataType:
        name = self._take(r"[A-Za-z_][A-Za-z0-9_]*")
        if name is None or depth > _DEPTH_MAX:
            raise self.error()
        if self._take("<"):
            return self._nested(name, depth + 1)
        arguments = self._arguments()
        if not arguments and name in _SIMPLE:
            return _SIMPLE[name]
        found = _parametric(name, arguments)
        if found is None:
            raise self.error(_INSTEAD.get(name.lower()))
        return found

    def end(self) -> None:
        self._take("")
        if self._at != len(self._text):
            raise self.error()

    def _take(self, pattern: str) -> str | None:
        match = re.compile(r"\s*(" + pattern + r")\s*").match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return match.group(1)

    def _arguments(self) -> tuple[str, ...]:
        """What stands in parentheses, or in the brackets that Arrow itself writes."""
        taken = self._take(r"\([^()]*\)|\[[^\[\]]*\]")
        return tuple(part.strip() for part in taken[1:-1].split(",")) if taken else ()

    def _nested(self, name: str, depth: int) -> pa.DataType:
        if name == "map":
            key = self.type(depth)
            self._expect(",")
            value = self.type(depth)
            self._expect(">")
            return pa.map_(key, value)
        if name == "struct":
            return pa.struct(self._fields(depth))
        if name not in ("list", "large_list"):
            raise self.error()
        child = self._field(depth, named=False)
        self._expect(">")
        return pa.list_(child) if name == "list" else pa.large_list(child)

    def _fields(self, depth: int) -> list[pa.Field]:
        fields: list[pa.Field] = []
        while not self._take(">"):
            if fields:
                self._expect(",")
            fields.append(self._field(depth, named=True))
        names = [field.name for field in fields]
        if len(set(names)) < len(names):
            raise self.error("each name of a struct once")
        return fields

    def _field(self, depth: int, *, named: bool) -> pa.Field:
        name = self._take(r"[^\s:<>,()\[\]][^:<>,()\[\]]*?\s*:")
        if name is None and named:
            raise self.error()
        type_ = self.type(depth)
        nullable = self._take("not null") is None
        return pa.field(name[:-1].strip() if name else "item", type_, nullable=nullable)

    def _expect(self, pattern: str) -> None:
        if self._take(pattern) is None:
            raise self.error()

    def error(self, instead: str | None = None) -> SpecError:
        step = f"write {instead}" if instead else f"write one like {EXAMPLES}"
        if any(self._text.count(a) != self._text.count(b) for a, b in ("()", "<>", "[]")):
            step = 'put quotes around a type that has a comma, such as "timestamp(us, UTC)"'
        return SpecError(f"{shown(self._text)} is not an Arrow type", next=step)


def _parametric(name: str, arguments: tuple[str, ...]) -> Any:
    """The type of a name with arguments; None where there is no such name or the arguments are wrong."""
    if name in ("decimal", "decimal128", "decimal256") and len(arguments) == 2:
        make = pa.decimal256 if name == "decimal256" else pa.decimal128
        return make(int(arguments[0]), int(arguments[1]))
    if name == "fixed_size_binary" and len(arguments) == 1 and int(arguments[0]) > 0:
        return pa.binary(int(arguments[0]))
    if (name, *arguments) in (("date32", "day"), ("date64", "ms")):
        return _SIMPLE[name]
    if not arguments or arguments[0] not in _UNITS.get(name, ()):
        return None
    if name == "timestamp" and len(arguments) == 2:
        return pa.timestamp(arguments[0], _zone(arguments[1]))
    return getattr(pa, name)(arguments[0]) if len(arguments) == 1 else None


def _zone(text: str) -> str:
    """A zone of a column, which may be an offset too. SpecError where it is neither."""
    name = text.removeprefix("tz=")
    return name if re.fullmatch(r"[+-]\d\d:\d\d", name) else timezone(name)
