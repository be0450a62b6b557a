"""Moves one text to one value: sizes, durations, flags, names, zones, encodings."""

from __future__ import annotations

import codecs
import re
from decimal import Decimal
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from raybackfill.errors import SpecError
from raybackfill.spec.nodes import shown

NAME = r"[a-z0-9_-]{1,63}"
SIZE = r"[0-9]{1,15}(\.[0-9]{1,9})?\s?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)"
DURATION = r"0|[0-9]{1,9}[smhd]"
COUNT = r"[1-9][0-9]{0,8}"
SHARE = r"(100|[0-9]{1,2}(\.[0-9]{1,6})?)%"
TOLERANCE = rf"[0-9]{{1,18}}(\.[0-9]{{1,18}})?|{SHARE}"
DATABASE = r"[A-Za-z][A-Za-z0-9_.-]*(\+[A-Za-z0-9_.-]+)?://\S*"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
FUNCTION = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
ENDPOINT = r"https?://[^\s/?#]+/?"

_RESERVED_NAMES = ("control", "tables")
"""Folders of raybackfill's own, beside those of the backfills in a state."""

_SIZES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def text(value: str) -> str:
    """Any text but the empty one."""
    if not value:
        raise SpecError("is empty", next="write a value, or leave the key out")
    return value


def any_text(value: str) -> str:
    return value


def backfill_name(value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise SpecError(
            f"{shown(value)} is not a name", next=f"use 1 to 63 of a-z, 0-9, _ and - ({NAME}), such as orders"
        )
    if value in _RESERVED_NAMES:
        raise SpecError(f"{value} is the name of a folder that raybackfill uses", next="take another name")
    return value


def column_name(value: str) -> str:
    if not value or value != value.strip() or not value.isprintable():
        raise SpecError(f"{shown(value)} is not the name of a column", next="write it as the table has it")
    return value


def variable_name(value: str) -> str:
    """A name under which a job or a query gets something."""
    if not value.isidentifier() or value in ("context", "input"):
        raise SpecError(
            f"{shown(value)} cannot be the name of a parameter or a table",
            next="use letters, digits and _, and neither context nor input",
        )
    return value


def flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise SpecError(f"{shown(value)} is neither true nor false", next="write true or false")
    return value == "true"


def count(value: str) -> int:
    if not re.fullmatch(COUNT, value):
        raise SpecError(f"{shown(value)} is not a count", next="write a whole number from 1 on, such as 8")
    return int(value)


def size_bytes(value: str) -> int:
    """`200MB` is 200,000,000 bytes, `200MiB` 209,715,200."""
    if not re.fullmatch(SIZE, value):
        raise SpecError(f"{shown(value)} is not a size", next="write it like 200MB (10^6) or 200MiB (2^20)")
    unit = value.lstrip("0123456789. ")
    size = Decimal(value.removesuffix(unit).rstrip()) * _SIZES[unit]
    if size < 1 or size != int(size):
        raise SpecError(f"{shown(value)} is not a whole number of bytes", next="write it like 200MB")
    return int(size)


def duration_seconds(value: str) -> int:
    if not re.fullmatch(DURATION, value):
        raise SpecError(f"{shown(value)} is not a duration", next="write it like 45s, 10m, 2h or 31d")
    return int(value[:-1]) * _SECONDS[value[-1]] if value != "0" else 0


def share(value: str) -> float:
    """`5%` is 0.05."""
    if not re.fullmatch(SHARE, value):
        raise SpecError(f"{shown(value)} is not a share", next="write it like 5% (from 0% to 100%)")
    return float(Decimal(value[:-1]) / 100)


def tolerance(value: str) -> str:
    """Stays the text that it is, because `0.01` has no double of its own."""
    if not re.fullmatch(TOLERANCE, value):
        raise SpecError(f"{shown(value)} is not a tolerance", next="write it like 0, 0.01 or 0.1%")
    return value


def database_url(value: str) -> str:
    if not re.fullmatch(DATABASE, value):
        raise SpecError(
            f"{shown(value)} is not the URL of a database",
            next="write it like postgresql://host/name or sqlite:///shop.db",
        )
    return value


def environment_name(value: str) -> str:
    if not re.fullmatch(VARIABLE, value, re.ASCII):
        raise SpecError(
            f"{shown(value)} is not the name of an environment variable", next="write it like WAREHOUSE_URL"
        )
    return value


def timezone(value: str) -> str:
    """An IANA name that this machine knows. `localtime` is not one: it differs between machines."""
    try:
        if value != "localtime":
            ZoneInfo(value)
            return value
    except (KeyError, ValueError, OSError):
        # What zoneinfo raises depends on how the name is wrong: no such file, a folder, a bad path.
        pass
    raise SpecError(f"{shown(value)} is not a time zone", next=_zone_hint(value))


def _zone_hint(value: str) -> str:
    zones = {zone.lower(): zone for zone in sorted(available_timezones())}
    wanted = value.lower().replace(" ", "_")
    near = [zones[name] for name in zones if name == wanted or name.endswith("/" + wanted)]
    near += [zones[name] for name in get_close_matches(wanted, zones, n=1, cutoff=0.75)]
    return f"did you mean {near[0]}?" if near else "write an IANA name such as Europe/Berlin or UTC"


def function_name(value: str) -> str:
    if not re.fullmatch(FUNCTION, value, re.ASCII):
        raise SpecError(
            f"{shown(value)} is not a function", next="write module:function, such as jobs.orders:revenue"
        )
    return value


def endpoint_url(value: str) -> str:
    if not re.fullmatch(ENDPOINT, value):
        raise SpecError(f"{shown(value)} is not an endpoint", next="write it like https://minio.local:9000")
    return value.rstrip("/")


def delimiter(value: str) -> str:
    if len(value) != 1 or not value.isascii() or value in '"\r\n\0':
        raise SpecError(
            f"{shown(value)} is not a delimiter",
            next='write one ASCII character; a tab is "\\t" in double quotes',
        )
    return value


def encoding(value: str) -> str:
    try:
        "".encode(value)
        codecs.lookup(value)
    except (LookupError, ValueError):
        raise SpecError(
            f"{shown(value)} is not an encoding", next="write utf-8, latin-1, cp1252 or the like"
        ) from None
    return value
