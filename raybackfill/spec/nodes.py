"""Moves a config's text to nodes: what was written, where it stands, and nothing interpreted yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import yaml

from raybackfill.errors import SpecError

TEXT_CHARACTERS_MAX = 1_000_000
NODES_MAX = 100_000
DEPTH_MAX = 32

SET = "--set"
"""The origin of what stands in no file: a value given on the command line."""

_CORE = "tag:yaml.org,2002:"
_QUOTES = "put quotes around a value with any of { } [ ] * & % @ # or a colon and a space"

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message points: the file (with a line, where it is known) and the dotted key."""

    origin: str
    key: str = ""

    @property
    def where(self) -> str:
        if not self.key:
            return self.origin
        return f"{self.origin} {self.key}" if self.origin == SET else f"{self.origin}: {self.key}"

    def child(self, name: str, origin: str | None = None) -> Place:
        return Place(origin or self.origin, f"{self.key}.{name}" if self.key else name)

    def item(self, index: int, origin: str) -> Place:
        return Place(origin, f"{self.key}[{index}]")

    def error(self, message: str, next: str = "") -> SpecError:
        return SpecError(message, where=self.where, next=next)

    def locate(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's answer; a SpecError it raises is said to be at this place."""
        try:
            return function(*args, **kwargs)
        except SpecError as error:
            raise self.error(error.message, error.next) from None


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """`plain` tells `true` from `"true"`: only a plain scalar may mean anything but its text."""

    origin: str
    text: str
    plain: bool = True
    noun = "text"

    @property
    def is_empty(self) -> bool:
        return self.plain and self.text == ""


@dataclass(frozen=True, slots=True)
class ListNode:
    origin: str
    items: tuple[Node, ...] = ()
    noun = "a list"


@dataclass(frozen=True, slots=True)
class MappingNode:
    """`origins` says where each key stands; a value may stand on another line, or be shared."""

    origin: str
    entries: Mapping[str, Node] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    noun = "a mapping"


Node = ScalarNode | ListNode | MappingNode


def read_nodes(text: str, origin: str, *, lines: bool = True) -> Node:
    """The one document of the text. An empty text is an empty scalar.

    SpecError: not YAML, a key written twice, more than one document, tags, merges, or more nodes
    (aliases counted as often as they are used) than a config can sensibly have.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise SpecError(
            f"has more than {TEXT_CHARACTERS_MAX:,} characters",
            where=origin,
            next="a config holds values only; put data in a table",
        )
    try:
        return _Composer(yaml.parse(text, Loader=yaml.SafeLoader), origin, lines).document()
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, origin, lines) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        at = f"{origin}:{line}" if lines else origin
        raise SpecError("has a character that YAML does not allow", where=at, next="remove it") from None


def node_of(value: Any, origin: str) -> Node:
    """A default, as it would be written, as a node."""
    if isinstance(value, Mapping):
        entries = {key: node_of(item, origin) for key, item in value.items()}
        return MappingNode(origin, entries, dict.fromkeys(entries, origin))
    if isinstance(value, list):
        return ListNode(origin, tuple(node_of(item, origin) for item in value))
    return ScalarNode(origin, str(value), plain=False)


def shown(text: str) -> str:
    """A text as messages show it: bare where that is clear, short always."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return short if short and short.isprintable() and not set(short) & set(" '\"") else repr(short)


class _Composer:
    """Events to nodes. Aliases share their node, so memory stays small; their count does not."""

    def __init__(self, events: Iterator[Any], origin: str, lines: bool) -> None:
        self._events = events
        self._origin = origin
        self._lines = lines
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0

    def document(self) -> Node:
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return ScalarNode(self._origin, "")
        node = self._node(next(self._events), 0)
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._error(after, "a second document begins here", "one file holds one config")
        return node

    def _at(self, event: Any) -> str:
        return f"{self._origin}:{event.start_mark.line + 1}" if self._lines else self._origin

    def _error(self, event: Any, message: str, next: str) -> SpecError:
        return SpecError(message, where=self._at(event), next=next)

    def _node(self, event: Any, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise self._error(event, f"is nested more than {DEPTH_MAX} deep", "make it flatter")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._count
        self._add(event, 1)
        node = self._new(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _add(self, event: Any, count: int) -> None:
        self._count += count
        if self._count > NODES_MAX:
            raise self._error(
                event, f"has more than {NODES_MAX:,} values, aliases counted each time", "make it smaller"
            )

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            raise self._error(
                event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it", _QUOTES
            )
        node, count = self._anchors[event.anchor]
        self._add(event, count)
        return node

    def _new(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            self._check_tag(event, "str")
            return ScalarNode(self._at(event), event.value, event.tag is None and not event.style)
        if isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, "seq")
            return self._list(event, depth)
        self._check_tag(event, "map")
        return self._mapping(event, depth)

    def _check_tag(self, event: Any, expected: str) -> None:
        if event.tag in (None, "!", _CORE + expected):
            return
        tag = event.tag.replace(_CORE, "!!")
        raise self._error(event, f"the tag {shown(tag)} is not read", "values are typed by their key")

    def _list(self, start: Any, depth: int) -> ListNode:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return ListNode(self._at(start), tuple(items))

    def _mapping(self, start: Any, depth: int) -> MappingNode:
        entries: dict[str, Node] = {}
        origins: dict[str, str] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, depth)
            if key in entries:
                raise self._error(
                    event, f"the key {shown(key)} is written twice, first at {origins[key]}", "keep one"
                )
            origins[key] = self._at(event)
            entries[key] = self._node(next(self._events), depth + 1)
        return MappingNode(self._at(start), entries, origins)

    def _key(self, event: Any, depth: int) -> str:
        node = self._node(event, depth + 1)
        if not isinstance(node, ScalarNode):
            raise self._error(event, f"{node.noun} stands where a key is expected", _QUOTES)
        if node.text == "<<" and node.plain:
            raise self._error(event, "<< is not read", "use an alias for a whole value, or repeat the keys")
        return node.text


def _not_yaml(error: yaml.MarkedYAMLError, origin: str, lines: bool) -> SpecError:
    mark = error.problem_mark or error.context_mark
    at = f"{origin}:{mark.line + 1}" if lines and mark else origin
    problem = ", ".join(str(part) for part in (error.problem, error.context) if part)
    step = "indent with spaces" if "\\t" in problem else _QUOTES
    return SpecError(f"not YAML: {problem}", where=at, next=step)
