"""Which partitions lose too many rows."""

from __future__ import annotations

import pyarrow as pa
import pytest

from raybackfill.control.planning.plan import TARGET_FILES
from raybackfill.control.proving.composition import PINNED
from raybackfill.control.proving.shrinking import shrunk
from raybackfill.model import StagedFile

A, B = "dt=2025-01-01", "dt=2025-01-02"


def pinned(*files: tuple[str, int | None]) -> pa.Table:
    rows = [
        {"path": f"{folder}/{at}", "size": 1, "tag": "t", "folder": folder, "scope": "inside", "rows": count}
        for at, (folder, count) in enumerate(files)
    ]
    return pa.Table.from_pylist(rows, TARGET_FILES)


def staged(*files: tuple[str, int]) -> list[StagedFile]:
    return [StagedFile(f"{folder}-{at}", folder, rows, 1, "t") for at, (folder, rows) in enumerate(files)]


@pytest.mark.parametrize(
    ("before", "after", "share", "refused"),
    [
        (10, 5, 0.5, False), (10, 4, 0.5, True), (10, 1, 1.0, False), (10, 12, 0.0, False),
        (10, 10, 0.0, False), (10, 9, 0.0, True),
        # As floats, 0.29 * 100 is a little less than 29.
        (100, 71, 0.29, False), (100, 70, 0.29, True),
    ],
)  # fmt: skip
def test_more_than_the_share_is_refused(before: int, after: int, share: float, refused: bool) -> None:
    found = shrunk(staged((A, after)), pinned((A, before)), share)
    assert (found is not None) == refused


def test_a_partition_is_all_of_its_files_and_each_is_named_with_both_counts() -> None:
    found = shrunk(staged((A, 2), (A, 2), (B, 9)), pinned((A, 3000), (A, 2000), (B, 10), ("", 4)), share=0.5)
    assert found is not None
    assert found.refused_by == "no partition shrinks"
    assert found.reason == "1 partition would lose more than 50% of the rows: dt=2025-01-01 5,000 -> 4"
    assert "shrink: 100%" in found.next
    assert "--new" in found.next


def test_many_are_counted_and_a_few_named() -> None:
    folders = [f"dt={day:02d}" for day in range(9)]
    found = shrunk(
        staged(*((folder, 1) for folder in folders)), pinned(*((folder, 9) for folder in folders)), 0.125
    )
    assert found is not None
    assert found.reason.startswith("9 partitions would lose more than 12.5% of the rows: dt=00 9 -> 1, dt=01")
    assert found.reason.endswith("and 4 more")


def test_what_nobody_counted_is_not_missed() -> None:
    assert shrunk(staged((A, 1)), pinned((A, None), (A, 2)), 0.5) is None
    assert shrunk(staged((A, 1)), pinned((A, None), (A, 3)), 0.5) is not None
    assert shrunk(staged((A, 1)), pa.Table.from_pylist([], PINNED), 0.5) is None


def test_a_partition_without_rows_is_not_this_gate_s() -> None:
    assert shrunk(staged((B, 5)), pinned((A, 100), (B, 5)), 0.5) is None
