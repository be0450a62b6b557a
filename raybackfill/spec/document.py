"""Moves a spec to JSON and back: the plan keeps it, and workers build the same spec from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from raybackfill.errors import SpecError
from raybackfill.spec.values import BackfillSpec, TargetSpec

FORMAT = "spec/1"

_FLOAT = "$float"
_MAP = "$map"
_PARAMS = "params"

_LATER = {
    BackfillSpec: frozenset({"verify", "shrink", "publish"}),
    TargetSpec: frozenset({"allow_duplicates"}),
}
"""Keys that came after plans of this format were stored: one that lacks them means their defaults."""


def spec_document(spec: BackfillSpec) -> dict[str, Any]:
    """The spec as JSON values, every default included. Equal specs give equal documents, whose
    mappings are sorted; NaN and the infinities, which JSON lacks, are `{"$float": "nan"}`."""
    return {"format": FORMAT, **_encoded(spec)}


def spec_from_document(document: Mapping[str, Any]) -> BackfillSpec:
    """The inverse of `spec_document`. SpecError where another version of raybackfill wrote it."""
    if document.get("format") != FORMAT:
        raise SpecError(
            f"the spec has the format {document.get('format')!r}, not {FORMAT}",
            next="use the version of raybackfill that made the plan, or plan again",
        )
    content = {key: value for key, value in document.items() if key != "format"}
    spec: BackfillSpec = _decoded(BackfillSpec, content)
    return spec


def _encoded(value: Any) -> Any:
    if is_dataclass(value):
        return {
            field.name: (_encoded_param if field.name == _PARAMS else _encoded)(getattr(value, field.name))
            for field in fields(value)
        }
    if isinstance(value, Mapping):
        return {key: _encoded(value[key]) for key in sorted(value)}
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    return value


def _encoded_param(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    if isinstance(value, list | tuple):
        return [_encoded_param(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    items = {key: _encoded_param(value[key]) for key in sorted(value)}
    # A mapping of the user's own with such a key must not be taken for one of ours.
    return {_MAP: items} if any(key in (_FLOAT, _MAP) for key in items) else items


def _decoded_param(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded_param(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if _FLOAT in value:
        return float(value[_FLOAT])
    return {key: _decoded_param(item) for key, item in value.get(_MAP, value).items()}


def _decoded(hint: Any, value: Any) -> Any:
    """A JSON value as the type that a dataclass's hint names."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return None if value is None else _decoded(_without_none(hint), value)
    if is_dataclass(hint):
        return _decoded_dataclass(hint, value)
    if origin is tuple:
        return tuple(_decoded(get_args(hint)[0], item) for item in value)
    if origin is Mapping:
        return {key: _decoded(get_args(hint)[1], item) for key, item in value.items()}
    return value


def _without_none(hint: Any) -> Any:
    return next(argument for argument in get_args(hint) if argument is not NoneType)


def _decoded_dataclass(kind: Any, value: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    hints = {name: hint for name, hint in hints.items() if name in value or name not in _LATER.get(kind, ())}
    if set(value) != set(hints):
        names = ", ".join(sorted(set(value) ^ set(hints)))
        raise SpecError(
            f"the stored {kind.__name__} has other keys than this version: {names}",
            next="use the version of raybackfill that made the plan, or plan again",
        )
    return kind(
        **{
            name: _decoded_param(value[name]) if name == _PARAMS else _decoded(hint, value[name])
            for name, hint in hints.items()
        }
    )
