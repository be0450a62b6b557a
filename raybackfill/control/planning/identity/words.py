"""Decides how a difference between plans is said: in words for people, as a document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raybackfill.control.planning.identity.difference import Changes, Difference, Names, Value

VALUE_CHARACTERS_MAX = 60
_KINDS = ("changed", "new", "gone")


def in_words(found: Difference, source: str = "") -> str:
    """All that differs, in one line; "" where nothing does. `source`: what the keys of the source's
    objects begin with, which goes without saying."""
    return "; ".join(_said(found, source))


def difference_document(found: Difference) -> dict[str, Any]:
    return {
        "spec": [_value_document(value, "key") for value in found.spec],
        "code": _changes_document(found.code),
        "columns": [_value_document(value, "column") for value in found.columns],
        "inputs": _changes_document(found.inputs),
        "target": {
            **_changes_document(found.target),
            "base_version": _before_and_after(found.base_version),
        },
        "as_of": _before_and_after(found.as_of),
    }


def _said(found: Difference, source: str) -> Iterator[str]:
    for value in found.spec:
        yield f"{value.name} {_shown(value.before)} -> {_shown(value.after)}"
    if found.code:
        yield f"the job's code: {', '.join(_modules(found.code))}"
    for value in found.columns:
        yield f"column {value.name} {_shown(value.before)} -> {_shown(value.after)}"
    yield from _things(found.inputs, "source object", "source objects", source)
    yield from _things(found.target, "file of the target", "files of the target", "")
    if found.base_version is not None:
        yield f"the table's version {found.base_version.before} -> {found.base_version.after}"
    if found.as_of is not None:
        yield f"the as-of time {found.as_of.before} -> {found.as_of.after}"


def _modules(found: Changes) -> Iterator[str]:
    if found.changed.count:
        yield named(found.changed)
    if found.new.count:
        yield f"{named(found.new)} new"
    if found.gone.count:
        yield f"{named(found.gone)} gone"


def _things(found: Changes, one: str, many: str, root: str) -> Iterator[str]:
    """What the things are is said once, with the first kind of change."""
    first = True
    for kind in _KINDS:
        names: Names = getattr(found, kind)
        if names.count:
            noun = (f" {one}" if names.count == 1 else f" {many}") if first else ""
            yield f"{names.count:,}{noun} {kind}: {named(names, root)}"
            first = False


def named(names: Names, root: str = "") -> str:
    shown = ", ".join(name.removeprefix(root) for name in names.examples)
    more = names.count - len(names.examples)
    return f"{shown} and {more:,} more" if more else shown


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    text = " ".join(str(value).split())
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}.."


def _changes_document(found: Changes) -> dict[str, Any]:
    return {
        kind: {"count": getattr(found, kind).count, "examples": list(getattr(found, kind).examples)}
        for kind in _KINDS
    }


def _value_document(value: Value, name: str) -> dict[str, Any]:
    return {name: value.name, "before": value.before, "after": value.after}


def _before_and_after(value: Value | None) -> dict[str, Any] | None:
    return None if value is None else {"before": value.before, "after": value.after}
