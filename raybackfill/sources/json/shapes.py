"""Decides which Arrow types the objects of JSON lines show, and refuses what shows two at once.

- A column of whole numbers is int64. With fractions or exponents among them it is double, if no
  whole number is beyond 2^53, where a double would round it.
- Whole numbers that int64 cannot hold are refused, unless the schema says what they are.
- true and false: bool. Text: string; never a time. Only nulls: null. Lists and objects: list and
  struct of what is in them; keys in the order in which they first appear.
- A column that is a number in one line and a text in another, say, is refused with both lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from raybackfill.sources.json.lines import Number

_INT64_MAX = 2**63 - 1
_INT64_MIN = -(2**63)
_EXACT_MAX = 2**53


class TwoShapesError(ValueError):
    """One column shows two kinds of value, or a number that no inferred type holds."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(column, reason)
        self.column = column
        self.reason = reason


@dataclass
class Shape:
    """What the values of one column (or part of one, `path`) have shown so far."""

    path: str
    kind: str = "null"
    line: int = 0
    fraction_line: int = 0
    large_line: int = 0
    fields: dict[str, Shape] = field(default_factory=dict)
    element: Shape | None = None

    def see(self, value: Any, line: int) -> None:
        """Take in one value; TwoShapesError if it is of another kind than those before."""
        if value is None:
            return
        kind = _kind(value)
        if self.kind == "null":
            self.kind, self.line = kind, line
        elif self.kind != kind:
            reason = f"is a {self.kind} in line {self.line} and a {kind} in line {line}"
            raise TwoShapesError(self.path, reason)
        if kind == "number":
            self._see_number(value, line)
        elif kind == "object":
            self._see_object(value, line)
        elif kind == "list":
            self.element = self.element or Shape(f"{self.path}[]")
            for item in value:
                self.element.see(item, line)

    def _see_object(self, value: Mapping[str, Any], line: int) -> None:
        for key, item in value.items():
            if key not in self.fields:
                self.fields[key] = Shape(f"{self.path}.{key}" if self.path else key)
            self.fields[key].see(item, line)

    def _see_number(self, value: Number, line: int) -> None:
        if not value.is_whole:
            self.fraction_line = self.fraction_line or line
        elif len(value) > 15:
            # Only long numbers need a look, and a number may be too long for int().
            if len(value) > 20 or not _INT64_MIN <= int(value) <= _INT64_MAX:
                raise TwoShapesError(self.path, f"holds {value[:40]} in line {line}, which is no int64")
            if abs(int(value)) > _EXACT_MAX:
                self.large_line = self.large_line or line
        if self.fraction_line and self.large_line:
            raise TwoShapesError(
                self.path,
                f"holds a fraction in line {self.fraction_line} and a whole number in line "
                f"{self.large_line} that a double would round",
            )

    def type(self) -> pa.DataType:
        """The Arrow type of the values seen."""
        if self.kind == "number":
            return pa.float64() if self.fraction_line else pa.int64()
        if self.kind == "list":
            return pa.list_(self.element.type() if self.element else pa.null())
        if self.kind == "object":
            return pa.struct([(name, shape.type()) for name, shape in self.fields.items()])
        return {"null": pa.null(), "bool": pa.bool_(), "text": pa.string()}[self.kind]


def _kind(value: Any) -> str:
    if isinstance(value, Number):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "bool"
    return "object" if isinstance(value, dict) else "list"


class Columns:
    """The columns that lines have shown, in the order of first appearance. Those of `overrides` are
    what the user says, whatever stands in them."""

    def __init__(self, overrides: Mapping[str, pa.DataType]) -> None:
        self._overrides = overrides
        self._shapes: dict[str, Shape] = {}

    def see(self, row: Mapping[str, Any], line: int) -> None:
        for name, value in row.items():
            shape = self._shapes.get(name)
            if shape is None:
                shape = self._shapes[name] = Shape(name)
            if name not in self._overrides:
                shape.see(value, line)

    def schema(self) -> pa.Schema:
        return pa.schema(
            [(name, self._overrides.get(name) or shape.type()) for name, shape in self._shapes.items()]
        )
