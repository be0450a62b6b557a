"""Decides what JSON values are in an Arrow type: exactly that, or refused by line and column.

Numbers become integers, floats and decimals without loss; for a string they stay the text they
are. Text becomes a time, a date, a decimal or bytes as `text_values` reads it; where the user gave
the column's type himself, also a number or a bool. true and false become bool, or their text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import types as kinds

from raybackfill.control.arrow import widening
from raybackfill.sources.json.lines import Number
from raybackfill.sources.text_values import MisfitError, convert


class BadValueError(ValueError):
    """The value (as it is to be shown) of row `index` at `path` is not of the wanted type."""

    def __init__(self, path: str, value: str, wanted: pa.DataType, reason: str = "", index: int = 0) -> None:
        super().__init__(path, value, wanted, reason, index)
        self.path = path
        self.value = value
        self.wanted = wanted
        self.reason = reason
        self.index = index


class UnknownKeyError(ValueError):
    """A key at `path` that the schema does not have, in row `index`."""

    def __init__(self, path: str, index: int = 0) -> None:
        super().__init__(path, index)
        self.path = path
        self.index = index


def read_values(values: Sequence[Any], wanted: pa.DataType, name: str, timezone: str, told: bool) -> pa.Array:
    """The parsed values (None, bool, str, Number, list, dict) of one column as `wanted`.

    `timezone` is how times without an offset are read; with `told` the user himself gave the type.
    BadValueError or UnknownKeyError with the index of the first value that is none.
    """
    leaf = wanted.value_type if kinds.is_dictionary(wanted) else wanted
    if widening.is_listing(leaf) or kinds.is_struct(leaf) or kinds.is_map(leaf):
        reader = _Nested(timezone, told)
        read = [reader.read_row(index, value, leaf, name) for index, value in enumerate(values)]
        return pa.array(read, wanted)
    texts = [_leaf_text(index, value, leaf, name, told) for index, value in enumerate(values)]
    try:
        return convert(pa.array(texts, pa.string()), wanted, timezone)
    except MisfitError as misfit:
        shown = _shown(values[misfit.index])
        raise BadValueError(name, shown, leaf, misfit.reason, misfit.index) from None


def _leaf_text(index: int, value: Any, wanted: pa.DataType, path: str, told: bool) -> str | None:
    """The value as the text that `convert` reads, if a value of its kind may be of the wanted type."""
    if value is None:
        return None
    if isinstance(value, Number):
        if widening.is_text(wanted) or kinds.is_floating(wanted) or kinds.is_decimal(wanted):
            return str(value)
        if kinds.is_integer(wanted):
            # JSON may write -0, which is zero.
            return "0" if value == "-0" else str(value)
    elif isinstance(value, str):
        if told or widening.is_text(wanted) or _is_said_in_text(wanted):
            return value
    elif isinstance(value, bool) and (kinds.is_boolean(wanted) or widening.is_text(wanted)):
        return "true" if value else "false"
    raise BadValueError(path, _shown(value), wanted, index=index)


def _is_said_in_text(kind: pa.DataType) -> bool:
    """Types that JSON has no way to write but as text (a decimal's number may have been rounded)."""
    return bool(kinds.is_temporal(kind) or kinds.is_decimal(kind) or widening.is_bytes(kind))


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, Number) else f"the text {str(value)[:80]!r}"


class _Nested:
    """Reads lists, objects and maps value by value into what pa.array takes."""

    def __init__(self, timezone: str, told: bool) -> None:
        self._timezone = timezone
        self._told = told

    def read_row(self, index: int, value: Any, wanted: pa.DataType, name: str) -> Any:
        try:
            return self._read(value, wanted, name)
        except BadValueError as bad:
            raise BadValueError(bad.path, bad.value, bad.wanted, bad.reason, index) from None
        except UnknownKeyError as unknown:
            raise UnknownKeyError(unknown.path, index) from None

    def _read(self, value: Any, wanted: pa.DataType, path: str) -> Any:
        if value is None:
            return None
        if kinds.is_dictionary(wanted):
            return self._read(value, wanted.value_type, path)
        if isinstance(value, list) and widening.is_listing(wanted):
            return [self._read(item, wanted.value_type, f"{path}[]") for item in value]
        if isinstance(value, dict) and kinds.is_map(wanted):
            return [
                (self._leaf(key, wanted.key_type, path), self._read(item, wanted.item_type, f"{path}.{key}"))
                for key, item in value.items()
            ]
        if isinstance(value, dict) and kinds.is_struct(wanted):
            return self._struct(value, wanted, path)
        return self._leaf(value, wanted, path)

    def _struct(self, value: Mapping[str, Any], wanted: pa.DataType, path: str) -> dict[str, Any]:
        parts = {part.name: part.type for part in widening.fields_of(wanted)}
        for key in value:
            if key not in parts:
                raise UnknownKeyError(f"{path}.{key}")
        return {name: self._read(value.get(name), kind, f"{path}.{name}") for name, kind in parts.items()}

    def _leaf(self, value: Any, wanted: pa.DataType, path: str) -> Any:
        text = _leaf_text(0, value, wanted, path, self._told)
        if widening.is_text(wanted):
            return text
        try:
            scalar = convert(pa.array([text], pa.string()), wanted, self._timezone)[0]
        except MisfitError as misfit:
            raise BadValueError(path, _shown(value), wanted, misfit.reason) from None
        # Python's times have no nanoseconds; Arrow takes the number of units as well.
        return scalar.value if kinds.is_temporal(wanted) else scalar.as_py()
