"""Decides whether a partition loses too many rows: half a day's data would replace a whole one in silence."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.proving.composition import Composition
from raybackfill.model import StagedFile

NAMED_MAX = 5


def shrunk(staged: Iterable[StagedFile], pinned: pa.Table, share: float) -> Composition | None:
    """The refusal, where a partition's rows become fewer by more than this share of them; None else.

    `pinned`: folder and rows of the files that are replaced. Rows that are carried over are in staged
    files, and so are kept. A partition that gets no rows at all is what target.on_empty decides; files
    whose rows nobody could count (null) are not missed.
    """
    if "rows" not in pinned.column_names:
        # A version of the run's own is mended, and its plan was asked when that was made.
        return None
    after: dict[str, int] = {}
    for file in staged:
        after[file.partition] = after.get(file.partition, 0) + file.rows
    most = Decimal(str(share))
    losses = [
        (folder, before, after[folder])
        for folder, before in _rows_by_folder(pinned)
        if after.get(folder) and before - after[folder] > most * before
    ]
    return _refusal(losses, most) if losses else None


def _rows_by_folder(pinned: pa.Table) -> list[tuple[str, int]]:
    counted = pinned.filter(pc.is_valid(pinned["rows"])).group_by("folder").aggregate([("rows", "sum")])
    return sorted(zip(counted["folder"].to_pylist(), counted["rows_sum"].to_pylist(), strict=True))


def _refusal(losses: list[tuple[str, int, int]], most: Decimal) -> Composition:
    named = [
        f"{folder or '(the table)'} {before:,} -> {after:,}" for folder, before, after in losses[:NAMED_MAX]
    ]
    more = f" and {len(losses) - NAMED_MAX:,} more" if len(losses) > NAMED_MAX else ""
    count = f"{len(losses):,} partition{'s' if len(losses) > 1 else ''}"
    return Composition(
        refused_by="no partition shrinks",
        reason=f"{count} would lose more than {(most * 100).normalize():f}% of the rows: "
        f"{', '.join(named)}{more}",
        next="find out where they went; if it is right so, say shrink: 100% (or how much may go), and: "
        "raybackfill run CONFIG --new",
    )
