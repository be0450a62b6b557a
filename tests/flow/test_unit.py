"""A unit's rows are accounted for: what is lost or doubled behind the job's back is an error, not a receipt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from raybackfill.control.arrow.text_bounds import Bounds
from raybackfill.errors import UnitError
from raybackfill.flow.extract import Batch
from raybackfill.flow.unit import Hops, process_unit
from raybackfill.model import Piece, StagedFile, Unit

ROWS = pa.table({"n": [1, 2, 3]})


class Reading:
    """An extract that gives three rows, and says that it read so many."""

    def __init__(self, rows_read: int) -> None:
        self._rows_read = rows_read

    def batches(self, *_: Any, **__: Any) -> Iterator[Batch]:
        yield Batch(ROWS, self._rows_read, self._rows_read - ROWS.num_rows, (), "key")


class Loading:
    """A loader that stages so many rows more than it is given."""

    def __init__(self, more: int) -> None:
        self._rows = more
        self.bounds: Bounds = {}

    def add(self, table: pa.Table, folders: pa.DictionaryArray) -> None:
        self._rows += table.num_rows

    def finish(self) -> tuple[StagedFile, ...]:
        return (StagedFile("staged", "", self._rows, 1, "tag"),)

    def abort(self) -> None:
        pass


def process(*, more_staged: int = 0, rows_read: int = 3, rows_planned: int = 3) -> dict[str, int]:
    hops = Hops(
        extract=Reading(rows_read),  # type: ignore[arg-type]
        transform=lambda table: table,
        accept=lambda table: (table, 0),
        folders=lambda table: pa.repeat("", table.num_rows).dictionary_encode(),
        loader=lambda unit, attempt: Loading(more_staged),  # type: ignore[arg-type, return-value]
        check_folders=lambda folders: None,
        whole_partitions=False,
        carries=False,
    )
    unit = Unit("u", 0, "work", (Piece("key", 1, "tag", None, rows_planned, 1),))
    return process_unit(unit, "a", hops).rows.to_json()


def test_rows_that_are_all_accounted_for_give_a_receipt() -> None:
    assert process()["out"] == 3
    assert process(rows_read=5, rows_planned=5)["filtered"] == 2
    assert process(rows_planned=-1)["read"] == 3


@pytest.mark.parametrize(
    "wrong", [{"more_staged": -1}, {"more_staged": 1}, {"rows_planned": 4}, {"rows_planned": 2}], ids=str
)
def test_rows_lost_or_doubled_anywhere_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UnitError, match="rows are not accounted for"):
        process(**wrong)
