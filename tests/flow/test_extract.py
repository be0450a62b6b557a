"""Extract: rows with the columns of their path, which must say what the file says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raybackfill.errors import UnitError
from raybackfill.flow.extract import Extract, PathValues
from raybackfill.model import Piece
from raybackfill.sources.parquet import ParquetSource
from raybackfill.storage.memory import MemoryStore
from tests.stores import write_parquet

DAY_US = 86_400_000_000
START = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1e6)


def extract(table: pa.Table, values: PathValues, row_schema: pa.Schema, **options: object) -> pa.Table:
    store = MemoryStore()
    write_parquet(store, "/src/f.parquet", table)
    info = store.head("/src/f.parquet")
    assert info is not None

    def paths(keys: Sequence[str]) -> list[PathValues]:
        return [values for _ in keys]

    hop = Extract(
        store, ParquetSource({}), paths, table.schema, row_schema, options.get("filters", []), "UTC"
    )  # type: ignore[arg-type]
    batches = list(hop.batches([Piece(info.key, info.size, info.tag, None, -1, 1)], 10**6))
    assert sum(batch.rows_read for batch in batches) == table.num_rows
    assert all(batch.rows_read == batch.table.num_rows + batch.rows_filtered for batch in batches)
    return pa.concat_tables([row_schema.empty_table(), *(batch.table for batch in batches)])


def test_columns_of_the_path_are_added_in_the_rows_schema() -> None:
    schema = pa.schema(
        [("a", pa.int64()), ("region", pa.string()), ("dt", pa.date32()), ("absent", pa.string())]
    )
    values = PathValues({"region": pa.scalar("eu"), "dt": pa.scalar(date(2025, 1, 1))})
    rows = extract(pa.table({"a": [1, 2]}), values, schema)
    assert rows.schema.equals(schema)
    assert rows.to_pylist()[1] == {"a": 2, "region": "eu", "dt": date(2025, 1, 1), "absent": None}


@pytest.mark.parametrize(
    ("column", "value", "agrees"),
    [
        (pa.array(["eu", "eu"]), pa.scalar("eu"), True),
        (pa.array(["eu", "us"]), pa.scalar("eu"), False),
        (pa.array([7, 7]), pa.scalar("7"), True),
        (pa.array([7, 8]), pa.scalar("7"), False),
        (pa.array(["x", "x"]), pa.scalar(7), False),
        (pa.array([None, None], pa.string()), pa.scalar(None, pa.string()), True),
        (pa.array(["eu", None]), pa.scalar("eu"), False),
        (pa.array(["eu", None]), pa.scalar(None, pa.string()), False),
    ],
)
def test_a_column_in_path_and_file_must_agree_row_by_row(
    column: pa.Array, value: pa.Scalar, agrees: bool
) -> None:
    table = pa.table({"c": column})
    if agrees:
        assert extract(table, PathValues({"c": value}), table.schema).equals(table)
        return
    with pytest.raises(UnitError, match=r"the path says c = .*, but row \d says"):
        extract(table, PathValues({"c": value}), table.schema)


def test_a_time_of_the_file_lies_within_that_of_the_path() -> None:
    values = PathValues({"ts": pa.scalar(date(2025, 1, 1))}, "ts", START, START + DAY_US)
    inside = pa.table({"ts": pa.array([START, START + DAY_US - 1], pa.timestamp("us", "UTC"))})
    assert extract(inside, values, inside.schema).equals(inside)
    for wrong in (START - 1, START + DAY_US, None):
        table = pa.table({"ts": pa.array([START, wrong], pa.timestamp("us", "UTC"))})
        with pytest.raises(UnitError, match="row 2 says"):
            extract(table, values, table.schema)


def test_filters_are_asked_one_after_the_other_and_counted() -> None:
    table = pa.table({"a": [1, 2, 3, 4]})
    filters = [
        lambda rows: pc.greater(rows["a"], 1).combine_chunks(),
        lambda rows: pc.less(rows["a"], 4).combine_chunks(),
    ]
    assert extract(table, PathValues({}), table.schema, filters=filters)["a"].to_pylist() == [2, 3]
