"""Decides what one line of JSON says: its exact numbers, and a refusal for what is ambiguous in it.

Python's json reads it, with numbers kept as the text they are. Refused: a key that an object has
twice, NaN and Infinity, half of a surrogate pair, bytes that are no UTF-8, and a line that is no
object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


class Number(str):
    """A JSON number, as it is written."""

    __slots__ = ()

    @property
    def is_whole(self) -> bool:
        return not any(sign in self for sign in ".eE")


class BadLineError(ValueError):
    """A line that is not one JSON object, or an ambiguous one; the text says why."""


def read_line(line: bytes) -> dict[str, Any]:
    """The object that the line holds: dicts, lists, str, Number, bool and None."""
    try:
        text = line.decode("utf-8")
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise BadLineError(f"byte {error.start + 1} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadLineError(f"it is no JSON ({error.msg} at character {error.colno})") from None
    except RecursionError:
        raise BadLineError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise BadLineError(f"it is not a JSON object but {_named(value)}")
    if "\\u" in text or "\\U" in text:
        _refuse_half_pairs(value)
    return value


def numbered(data: bytes, before: int) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; `before` lines precede these bytes."""
    for number, line in enumerate(data.split(b"\n"), start=before + 1):
        stripped = line.strip(b" \t\r")
        if stripped:
            yield number, stripped


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadLineError(f"it has the key {twice!r} twice")
    return found


def _no_constant(name: str) -> Any:
    raise BadLineError(f"{name} is not JSON")


def _refuse_half_pairs(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadLineError(
            "it has half of a surrogate pair (\\ud800 to \\udfff), which is no character"
        ) from None


def _named(value: Any) -> str:
    if isinstance(value, list):
        return "an array"
    return "a number" if isinstance(value, Number) else f"the value {json.dumps(value)[:40]}"


_DECODER = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=_no_constant, object_pairs_hook=_pairs
)
