"""Where time and randomness come from: given to what needs them, so that tests and simulations own them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Clock:
    """`now` is a text for the record (RFC 3339, UTC); `seconds` only goes forward, from anywhere;
    `sleep` takes seconds; `new_id` names drivers, writers and attempts."""

    now: Callable[[], str]
    new_id: Callable[[], str]
    seconds: Callable[[], float]
    sleep: Callable[[float], None]


def system_clock() -> Clock:
    return Clock(utc_now, lambda: secrets.token_hex(6), time.monotonic, time.sleep)


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
