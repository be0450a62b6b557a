"""The kinds of values a key may have: each reads a node, and says the same as JSON Schema.

A kind is one thing on purpose: what the reader accepts and what the schema tells editors cannot
drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NoReturn, Protocol

from raybackfill.errors import SpecError
from raybackfill.spec.nodes import ListNode, MappingNode, Node, Place, ScalarNode, node_of, shown

COMING = "not in this version"


class Kind(Protocol):
    """The promise: what `read` accepts fits `schema`, whether an editor took scalars as text or not."""

    def read(self, node: Node, place: Place) -> Any:
        """The value; a SpecError at the place otherwise."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12 of what may be written."""


@dataclass(frozen=True)
class Scalar:
    """One text, typed by `parse`, which raises SpecErrors without a place."""

    parse: Callable[[str], Any]
    written: Mapping[str, Any]

    def read(self, node: Node, place: Place) -> Any:
        return place.locate(self.parse, scalar_text(node, place))

    def schema(self) -> dict[str, Any]:
        return dict(self.written)


@dataclass(frozen=True)
class Choice:
    """One of a few words. `coming` are refused as such, so that nobody takes them for typing errors."""

    options: tuple[str, ...]
    coming: tuple[str, ...] = ()

    def read(self, node: Node, place: Place) -> str:
        word = scalar_text(node, place)
        if word in self.options:
            return word
        *others, last = self.options
        known = f"{', '.join(others)} or {last}" if others else last
        if word in self.coming:
            raise place.error(f"{word} is {COMING}", f"write {known}")
        near = get_close_matches(word.lower(), self.options, n=1)
        hint = f"did you mean {near[0]}? It" if near else "it"
        raise place.error(f"{shown(word)} is not known", f"{hint} may be {known}")

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


@dataclass(frozen=True)
class ListOf:
    """A list, read to a tuple. With `single`, one value stands for a list of it."""

    kind: Kind
    unique: bool = False
    filled: bool = False
    single: bool = False

    def read(self, node: Node, place: Place) -> tuple[Any, ...]:
        if self.single and isinstance(node, ScalarNode):
            return (self.kind.read(node, place),)
        if not isinstance(node, ListNode):
            refuse_shape(node, place, "a list, such as [a, b]")
        if self.filled and not node.items:
            raise place.error("is an empty list", "write at least one value, or leave the key out")
        values: list[Any] = []
        for index, item in enumerate(node.items):
            values.append(self.kind.read(item, place.item(index, item.origin)))
            if self.unique and values[-1] in values[:-1]:
                at = place.item(index, item.origin)
                raise at.error(f"{shown(str(values[-1]))} is named twice", "keep one")
        return tuple(values)

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array", "items": self.kind.schema()}
        if self.unique:
            schema["uniqueItems"] = True
        if self.filled:
            schema["minItems"] = 1
        return {"anyOf": [self.kind.schema(), schema]} if self.single else schema


@dataclass(frozen=True)
class MapOf:
    """A mapping whose keys are the user's own names, read to a dict sorted by key."""

    name: Callable[[str], str]
    kind: Kind

    def read(self, node: Node, place: Place) -> dict[str, Any]:
        mapping = mapping_node(node, place)
        found: dict[str, Any] = {}
        for key, node_of_key in mapping.entries.items():
            inner = place.child(key, mapping.origins[key])
            found[inner.locate(self.name, key)] = self.kind.read(node_of_key, inner)
        return dict(sorted(found.items()))

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.kind.schema()}


@dataclass(frozen=True)
class Field:
    """One key of a config. `default` is what could be written; None where there is none or where
    the description says how it is found. Without a kind, the key is not in this version."""

    name: str
    kind: Kind | None
    description: str
    default: Any = None
    required: bool = False


@dataclass(frozen=True)
class Reading:
    """What one section gave: a value for every key that is in this version, and where each stands."""

    place: Place
    values: Mapping[str, Any]
    places: Mapping[str, Place]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def without(self, *names: str) -> dict[str, Any]:
        return {name: value for name, value in self.values.items() if name not in names}


@dataclass(frozen=True)
class Section:
    """A mapping with keys of our own. Of the keys in `exclusive` one may be given at most."""

    fields: tuple[Field, ...]
    exclusive: tuple[str, ...] = ()
    list_is_coming: bool = False

    def read(self, node: Node, place: Place) -> Reading:
        if self.list_is_coming and isinstance(node, ListNode):
            raise place.error(f"a list is {COMING}", "write one mapping")
        mapping = mapping_node(node, place)
        places = {key: place.child(key, origin) for key, origin in mapping.origins.items()}
        for key in mapping.entries:
            self._check_known(key, places[key])
        given = [key for key in self.exclusive if key in mapping.entries]
        if len(given) > 1:
            raise places[given[-1]].error(f"stands beside {given[0]}", "keep one of the two")
        values = {field.name: self._value(field, mapping, place) for field in self.fields if field.kind}
        return Reading(place, values, {name: places.get(name, place.child(name)) for name in values})

    def _value(self, field: Field, mapping: MappingNode, place: Place) -> Any:
        assert field.kind is not None
        if field.name in mapping.entries:
            inner = place.child(field.name, mapping.origins[field.name])
            return field.kind.read(mapping.entries[field.name], inner)
        if field.required:
            raise place.child(field.name).error("is missing", f"add it: {field.description}")
        if field.default is None:
            return None
        return field.kind.read(node_of(field.default, place.origin), place.child(field.name))

    def _check_known(self, key: str, place: Place) -> None:
        field = next((field for field in self.fields if field.name == key), None)
        if field is None:
            known = [field.name for field in self.fields if field.kind]
            near = get_close_matches(key.lower(), known, n=1)
            hint = f"did you mean {near[0]}? The" if near else "the"
            raise place.error("is not a key", f"{hint} keys here are {', '.join(known)}")
        if field.kind is None:
            raise place.error(f"is {COMING}", "leave it out")

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {field.name: _field_schema(field) for field in self.fields},
            "additionalProperties": False,
        }
        if required := [field.name for field in self.fields if field.required]:
            schema["required"] = required
        if self.exclusive:
            schema["not"] = {"required": list(self.exclusive)}
        return schema


@dataclass(frozen=True)
class Shorthand:
    """A section, or one value that stands for a section with just this key."""

    section: Section
    name: str

    def read(self, node: Node, place: Place) -> Reading:
        if isinstance(node, MappingNode):
            return self.section.read(node, place)
        if not isinstance(node, ScalarNode):
            refuse_shape(node, place, f"one value, or a mapping with {self.name}")
        # Read here first, so that a refusal names the key that was written.
        self._kind.read(node, place)
        mapping = MappingNode(node.origin, {self.name: node}, {self.name: place.origin})
        reading = self.section.read(mapping, place)
        return replace(reading, places={**reading.places, self.name: place})

    @property
    def _kind(self) -> Kind:
        (kind,) = [field.kind for field in self.section.fields if field.name == self.name and field.kind]
        return kind

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self._kind.schema(), self.section.schema()]}


def _field_schema(field: Field) -> dict[str, Any]:
    if field.kind is None:
        return {"description": f"{field.description} Is {COMING}.", "not": {}}
    schema = field.kind.schema() | {"description": field.description}
    return schema if field.default is None else schema | {"default": field.default}


def scalar_text(node: Node, place: Place) -> str:
    """The text of a scalar; a key with nothing behind it is refused."""
    if not isinstance(node, ScalarNode):
        refuse_shape(node, place, "one value")
    if node.is_empty:
        raise place.error("has no value", 'write one, or leave the key out ("" is the empty text)')
    return node.text


def mapping_node(node: Node, place: Place) -> MappingNode:
    if not isinstance(node, MappingNode):
        refuse_shape(node, place, "a mapping, such as {key: value}")
    return node


def refuse_shape(node: Node, place: Place, expected: str) -> NoReturn:
    if isinstance(node, ScalarNode) and node.is_empty:
        raise place.error("has no value", f"write {expected}, or leave the key out")
    if isinstance(node, MappingNode) and expected == "one value":
        raise place.error("is a mapping", 'write one value; one that begins with { needs quotes: "{ts:%Y}"')
    raise SpecError(f"is {node.noun}", where=place.where, next=f"write {expected}")
