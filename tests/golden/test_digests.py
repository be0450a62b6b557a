"""The algorithm of a name never changes: digests that were written down years ago must still compare."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from raybackfill.flow.digest import digest_of
from raybackfill.model import DIGEST_ALGORITHM
from tests.golden.states import FOLDER

VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "nothing": (pa.null(), [None, None]),
    "yes": (pa.bool_(), [True, None, False]),
    "small": (pa.int8(), [-128, 0, 127, None]),
    "large": (pa.int64(), [-(2**63), -1, 0, 2**63 - 1, None]),
    "unsigned": (pa.uint64(), [0, 2**64 - 1]),
    "half": (pa.float16(), [0.5, -2.0]),
    "double": (pa.float64(), [0.0, -0.0, 0.1, float("inf"), float("nan"), None]),
    "day": (pa.date32(), [date(1969, 12, 31), date(2025, 3, 30)]),
    "day64": (pa.date64(), [date(1969, 12, 31), date(2025, 3, 30)]),
    "time": (pa.time64("us"), [time(23, 59, 59, 999_999)]),
    "local": (pa.timestamp("us"), [datetime(2025, 3, 30, 2, 30), None]),
    "instant": (pa.timestamp("ms", "Europe/Berlin"), [datetime(2025, 3, 30, 1, 30, tzinfo=UTC)]),
    "nanos": (pa.timestamp("ns"), [1, 1000, -1, 1_700_000_000_123_456_789]),
    "span": (pa.duration("s"), [timedelta(seconds=-5)]),
    "interval": (pa.month_day_nano_interval(), [(1, 2, 3), (-1, -2, -3)]),
    "money": (pa.decimal128(20, 3), [Decimal("9747747.934"), Decimal("-0.001"), Decimal(10**16)]),
    "huge": (pa.decimal256(70, 0), [Decimal(2**130), Decimal(-(2**130)), Decimal(5)]),
    "text": (pa.string(), ["", "Zürich", "twelve bytes", "thirteen byte", "long " * 50, "long " * 500, None]),
    "bytes": (pa.binary(), [b"", b"\0", b"\xff" * 13]),
    "fixed": (pa.binary(4), [b"\0\1\2\3"]),
    "list": (pa.list_(pa.int32()), [[], [None], [1, 2], None]),
    "pair": (pa.list_(pa.float64(), 2), [[1.0, 2.0]]),
    "struct": (
        pa.struct([("b", pa.string()), ("a", pa.int64())]),
        [{"a": 1, "b": "x"}, {"a": None, "b": ""}, None],
    ),
    "map": (pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", None)], []]),
    "kind": (pa.dictionary(pa.int32(), pa.string()), ["open", None, "closed", "open"]),
}


def digests() -> dict[str, str]:
    found = {name: str(digest_of(pa.table({name: pa.array(v, kind)}))) for name, (kind, v) in VALUES.items()}
    row = pa.table({name: pa.array(values[-1:], kind) for name, (kind, values) in VALUES.items()})
    return {**found, "a whole row": str(digest_of(row))}


def test_digests_are_what_they_always_were() -> None:
    written = json.loads((FOLDER / f"digests-{DIGEST_ALGORITHM}.txt").read_text())
    assert digests() == written
