"""Moves what is under `transform.params` to Python values: the one place that follows YAML 1.2 itself."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from raybackfill.spec.nodes import ListNode, Node, Place, ScalarNode, shown
from raybackfill.spec.scalars import variable_name
from raybackfill.spec.shapes import MapOf

_NULLS = ("", "~", "null", "Null", "NULL")
_FLAGS = {word: word[0] in "tT" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INTEGER = re.compile(r"[-+]?[0-9]{1,1000}|0o[0-7]{1,1000}|0x[0-9a-fA-F]{1,1000}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = (".nan", ".NaN", ".NAN")


@dataclass(frozen=True)
class Parameter:
    """Any value: the core schema of YAML 1.2 for plain scalars, text for quoted ones.

    Mappings come sorted by key: YAML gives them no order, and the job must see the same one in
    every process. Where order matters, a list keeps it.
    """

    def read(self, node: Node, place: Place) -> Any:
        if isinstance(node, ScalarNode):
            return core_value(node.text, place) if node.plain else node.text
        if isinstance(node, ListNode):
            return [self.read(item, place.item(index, item.origin)) for index, item in enumerate(node.items)]
        return {
            key: self.read(node.entries[key], place.child(key, node.origins[key]))
            for key in sorted(node.entries)
        }

    def schema(self) -> dict[str, Any]:
        return {}


PARAMETERS = MapOf(variable_name, Parameter())


def core_value(text: str, place: Place) -> Any:
    """What a plain scalar means in YAML 1.2: `no`, `22:30` and dates are text, `0o17` is 15."""
    if text in _NULLS:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if text in _NAN:
        return math.nan
    if _INFINITE.fullmatch(text):
        return -math.inf if text[0] == "-" else math.inf
    if _FLOAT.fullmatch(text):
        return _finite(text, place)
    return text


def _finite(text: str, place: Place) -> float:
    value = float(text)
    if math.isinf(value):
        raise place.error(
            f"{shown(text)} is more than a double can hold", "put quotes around it: then it is text"
        )
    return value
