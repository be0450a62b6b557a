"""Shapes of a publish: over empty files, over more files than it brings, over publishes that were cut off."""

from __future__ import annotations

from tests.faults.shapes import (
    AS_IT_CAME,
    DOUBLED_IN_SQL,
    LAST_FIRST,
    ONE_OBJECT_A_UNIT,
    ORDERS,
    RAW,
    TOTALS,
    WINDOW,
    Row,
    Shape,
    daily,
    staged_alone,
)

FIRST = ORDERS.replace("orders\n", "first\n", 1) + "shrink: 100%\n"
THIRD_DAY = "scope: {start: 2025-01-03, end: 2025-01-04}\n"
TOTALS_BY_DAY: dict[str, list[Row]] = {
    "dt=2025-01-01/part-00000.parquet": [(100, "a", 4), (101, "b", 6)],
    "dt=2025-01-02/part-00000.parquet": [(200, "a", 12), (201, "b", 14)],
    "dt=2025-01-03/part-00000.parquet": [(300, "a", 9), (301, "b", 10)],
}

PUBLISHES = (
    Shape(
        "empty files are filled",
        ORDERS + WINDOW,
        daily,
        earlier=FIRST + TOTALS,
        table={**TOTALS_BY_DAY, **AS_IT_CAME},
    ),
    Shape(
        "fewer files than before, twice",
        ORDERS + TOTALS,
        daily,
        patches=ONE_OBJECT_A_UNIT | LAST_FIRST,
        earlier=FIRST + WINDOW,
        table=TOTALS_BY_DAY,
    ),
    Shape(
        "beside a publish that was cut off",
        ORDERS + WINDOW,
        daily,
        begun=staged_alone,
        cut_off=FIRST + THIRD_DAY.replace("01-03", "01-02").replace("01-04", "01-05"),
        gate="target unchanged",
    ),
    Shape(
        "over a publish that was cut off in other partitions",
        ORDERS + THIRD_DAY,
        daily,
        cut_off=FIRST + WINDOW + DOUBLED_IN_SQL,
        table={
            **{path: [(i, s, v * 2) for i, s, v in rows] for path, rows in AS_IT_CAME.items()},
            "dt=2025-01-03/part-00000.parquet": RAW["dt=2025-01-03/f0"],
        },
    ),
    Shape(
        "planned over a publish that was cut off",
        ORDERS + WINDOW,
        daily,
        plans=True,
        cut_off=FIRST + TOTALS,
        table={**TOTALS_BY_DAY, **AS_IT_CAME},
    ),
)

SLEEPING = Shape("a publisher that sleeps", ORDERS + WINDOW, daily)
NEWER = Shape("a newer run, which leaves paths without rows that the sleeper fills", FIRST + TOTALS, daily)
