"""Guesses a source's path template from the keys that lie there, for a config to begin with."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from raybackfill.control.planning.templates import PathTemplate
from raybackfill.errors import SpecError

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_COMPACT = re.compile(r"(?<!\d)\d{8}(?!\d)")
_MONTH = re.compile(r"(?<!\d)\d{4}-\d{2}(?![-\d])")
_PIECES = {
    **dict.fromkeys(("year", "y"), "%Y"),
    **dict.fromkeys(("month", "m"), "%m"),
    **dict.fromkeys(("day", "d"), "%d"),
    **dict.fromkeys(("hour", "h", "hr"), "%H"),
}
_WIDTHS = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2}


def guess_template(keys: Sequence[str]) -> str:
    """A template that fits all the keys (below the source's root); "**" where none is seen."""
    for name in ("ts", "date"):
        guess = "/".join(_segments(keys[0], name)) if keys else "**"
        if _fits_all(guess, keys):
            return guess
    return "**"


def _fits_all(guess: str, keys: Sequence[str]) -> bool:
    try:
        match = PathTemplate.parse(guess, "UTC").match(pa.array(keys, pa.string()))
    except SpecError:
        return False
    return bool(match.fits.true_count == len(keys))


def _segments(key: str, name: str) -> list[str]:
    *folders, file = key.split("/")
    pieces = [folder.partition("=") for folder in folders]
    dated = next((left for left, equals, value in pieces if equals and _DATE.fullmatch(value)), None)
    time = dated or name
    return [_folder(folder, time) for folder in folders] + [_file(file, time, has_time=dated is not None)]


def _folder(folder: str, time: str) -> str:
    left, equals, value = folder.partition("=")
    if not equals:
        return f"{{{time}:%Y-%m-%d}}" if _DATE.fullmatch(folder) else "*"
    code = _PIECES.get(left.lower())
    if _DATE.fullmatch(value):
        return f"{left}={{{time}:%Y-%m-%d}}"
    if code is not None and value.isdigit():
        padded = code if len(value) == _WIDTHS[code] else code.replace("%", "%-")
        return f"{left}={{{time}:{padded}}}"
    return f"{left}=*"


def _file(file: str, time: str, *, has_time: bool) -> str:
    """A time in the file's name is its date where no folder says one: the rest of the name stands."""
    if has_time:
        return "*"
    for pattern, code in ((_DATE, "%Y-%m-%d"), (_MONTH, "%Y-%m"), (_COMPACT, "%Y%m%d")):
        found = pattern.search(file)
        if found:
            return f"{_plain(file[: found.start()])}{{{time}:{code}}}{_plain(file[found.end() :])}"
    return "*"


def _plain(text: str) -> str:
    """What stands around the time, with what may differ from file to file left open."""
    stem, dot, suffix = text.partition(".")
    return re.sub(r"\d+", "*", stem) + dot + suffix
