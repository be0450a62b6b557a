"""Decides how a target's folders are named: columns of their own, or pieces of a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from raybackfill.errors import SpecError
from raybackfill.spec.nodes import ListNode, MappingNode, Node, Place, shown
from raybackfill.spec.shapes import ListOf, Scalar, mapping_node, refuse_shape, scalar_text
from raybackfill.spec.values import PartitionField

CODES = ("%Y", "%m", "%d", "%H", "%M", "%S", "%-m", "%-d", "%-H")

_PIECE = re.compile(r"([^{}/]*)\{([^{}:]*)(?::([^{}]*))?\}([^{}/]*)")
_CODE = re.compile(r"%(?:-?.)?", re.DOTALL)
_NAME = r"[^_./={}\s][^/={}]*"


@dataclass(frozen=True)
class Partitioning:
    """`[dt, region]`, or `{dt: "{ts:%Y-%m-%d}"}`; the order is that of the folders."""

    def read(self, node: Node, place: Place) -> tuple[PartitionField, ...]:
        if isinstance(node, ListNode):
            names = ListOf(FOLDER_NAME, unique=True).read(node, place)
            return tuple(PartitionField(name) for name in names)
        if not isinstance(node, MappingNode):
            refuse_shape(node, place, 'a list such as [dt], or a mapping such as {dt: "{ts:%Y-%m-%d}"}')
        mapping = mapping_node(node, place)
        return tuple(
            self._field(name, mapping.entries[name], place.child(name, mapping.origins[name]))
            for name in mapping.entries
        )

    def _field(self, name: str, node: Node, place: Place) -> PartitionField:
        place.locate(folder_name, name)
        return place.locate(partition_field, name, scalar_text(node, place))

    def schema(self) -> dict[str, Any]:
        template = {"type": "string", "pattern": r"\{[^{}]+\}", "examples": ["{ts:%Y-%m-%d}"]}
        return {
            "anyOf": [
                ListOf(FOLDER_NAME, unique=True).schema(),
                {"type": "object", "additionalProperties": template},
            ]
        }


def folder_name(text: str) -> str:
    """The part before `=`. Readers skip folders that begin with `_` or `.`, so those are refused."""
    if not re.fullmatch(_NAME, text) or not text.isprintable() or text != text.strip():
        raise SpecError(
            f"{shown(text)} cannot name a folder",
            next="use a name without / = { } that does not begin with _ or a dot",
        )
    return text


FOLDER_NAME = Scalar(folder_name, {"type": "string", "pattern": f"^{_NAME}$"})


def partition_field(name: str, template: str) -> PartitionField:
    """A template is text around one `{column:codes}`; `{name}` alone is the column's own value."""
    match = _PIECE.fullmatch(template)
    if match is None or not match.group(2).strip():
        raise SpecError(
            f"{shown(template)} is not a template of one folder",
            next='write text around one piece of a column, such as "{ts:%Y-%m-%d}"; one name for each folder',
        )
    before, column, codes, after = match.groups()
    if codes is not None:
        _check_codes(codes)
        return PartitionField(name, template)
    if column == name and not before and not after:
        return PartitionField(name)
    raise SpecError(
        f"{shown(template)} has no codes of a time",
        next=f'write codes such as "{{{column}:%Y-%m-%d}}", or "{{{name}}}" for the value of {name} itself',
    )


def _check_codes(codes: str) -> None:
    found = _CODE.findall(codes)
    wrong = [code for code in found if code not in CODES]
    if wrong or not found:
        problem = f"{wrong[0]} is not a code of a time" if wrong else f"{shown(codes)} has no code of a time"
        raise SpecError(problem, next=f"the codes are {', '.join(CODES)}")
