"""Numbers as people read them."""

from __future__ import annotations

THOUSANDS = ("", "k", "M", "G", "T", "P")


def amount(value: float) -> str:
    """1234567 -> "1.2M"; below ten thousand all digits."""
    if abs(value) < 10_000:
        return f"{value:,.0f}"
    return _scaled(value)


def size(value: float) -> str:
    """Bytes: 1234567 -> "1.2 MB"."""
    if abs(value) < 1000:
        return f"{value:,.0f} B"
    scaled = _scaled(value)
    return f"{scaled[:-1]} {scaled[-1]}B"


def _scaled(value: float) -> str:
    power = 0
    while abs(value) >= 999.5 and power < len(THOUSANDS) - 1:
        value /= 1000
        power += 1
    digits = 0 if abs(value) >= 99.5 or not power else 1
    return f"{value:.{digits}f}{THOUSANDS[power]}"


def duration(seconds: float) -> str:
    """75 -> "1m15s"; below ten seconds with a digit."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{whole % 60:02d}s" if minutes else f"{whole}s"


def plural(count: int, noun: str, many: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
