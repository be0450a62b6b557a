"""Every file of the format projects is read with the values that stand in it, or refused by name.

Parquet: the values must equal the project's own `*_expect.csv`, or what another engine reads (DuckDB
and Polars, each in a process of its own, since a broken file may take it down).
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raybackfill.errors import RaybackfillError, SpecError, UnitError
from raybackfill.model import Piece
from raybackfill.sources import Inspection, Source
from raybackfill.sources.csv import CsvSource
from raybackfill.sources.parquet import ParquetSource
from raybackfill.spec.values import CsvSpec
from raybackfill.storage.memory import MemoryStore

BATCH_BYTES = 64_000_000

BROKEN: dict[str, tuple[type[RaybackfillError], str]] = {
    "ARROW-GH-41317": (UnitError, "length"),
    "ARROW-GH-41321": (UnitError, "bit_width 254"),
    "ARROW-GH-45185": (UnitError, "repetition level"),
    "ARROW-GH-47662": (UnitError, "end of stream"),
    "ARROW-RS-GH-6229-DICTHEADER": (UnitError, "Invalid column metadata"),
    "ARROW-RS-GH-6229-LEVELS": (UnitError, "levels"),
    "PARQUET-1481": (SpecError, "UNKNOWN"),
}
"""bad_data, and which word of the reason must be in the error."""

READ_THOUGH_BAD = "ARROW-GH-43605"
"""Listed as bad since its dictionary indexes take 0 bits, which crashed a reader in Go. Nothing in it
is ambiguous: the dictionary has one entry, so each index is 0. Spark and parquet-rs write such pages
for columns of one value, and to refuse them would be to refuse good files."""

REFUSED = {"incorrect_map_schema": "Map keys must be annotated as required"}
"""data: what pyarrow cannot say. (Optional map keys: Arrow has no such type.)"""

NOT_READ_HERE = {"large_string_map.brotli": 4_000_000_000}
"""data: it takes 10 s and several GB to read two texts of 1 GB each; the plan must see its size."""

EXPECTED_IN_CSV = (
    "delta_binary_packed", "delta_byte_array", "delta_encoding_optional_column",
    "delta_encoding_required_column",
)  # fmt: skip

NO_OTHER_READER = {
    # DuckDB: BYTE_STREAM_SPLIT of fixed-length bytes is unsupported; Polars: likewise. Its columns come
    # in pairs, plain and split, which must be equal.
    "byte_stream_split_extended.gzip",
}


@pytest.fixture(scope="module")
def parquet_root(data_root: Path) -> Path:
    return data_root / "conformance" / "parquet"


def looked_at(source: Source, path: Path) -> tuple[MemoryStore, Piece, Inspection]:
    store = MemoryStore()
    key = f"bucket/{path.name}"
    store.put(key, path.read_bytes())
    info = store.head(key)
    assert info is not None
    found = source.inspect(store, info)
    return store, Piece(key, info.size, info.tag, None, found.rows, found.decoded_bytes), found


def read(source: Source, path: Path, batch_bytes: int = BATCH_BYTES) -> pa.Table:
    store, piece, found = looked_at(source, path)
    tables = list(source.read(store, piece, found.schema, batch_bytes))
    table = pa.concat_tables(tables) if tables else found.schema.empty_table()
    assert found.rows in (-1, table.num_rows)
    return table


@pytest.mark.parametrize("name", BROKEN)
def test_broken_parquet_is_refused_by_name(name: str, parquet_root: Path) -> None:
    kind, reason = BROKEN[name]
    with pytest.raises(kind) as caught:
        read(ParquetSource({}), parquet_root / "bad_data" / f"{name}.parquet")
    assert name in caught.value.where
    assert reason in caught.value.message
    assert caught.value.next


def test_the_table_of_broken_files_is_complete(parquet_root: Path) -> None:
    found = {path.stem for path in (parquet_root / "bad_data").glob("*.parquet")}
    assert found == {*BROKEN, READ_THOUGH_BAD}


def test_indexes_of_no_bits_are_the_dictionarys_one_entry(parquet_root: Path) -> None:
    path = parquet_root / "bad_data" / f"{READ_THOUGH_BAD}.parquet"
    data = path.read_bytes()
    # The dictionary page holds one value (thrift: num_values 1, PLAIN), which Zstandard stores as it is: 0.
    assert data[4:16] == b"\x15\x04\x15\x08\x15\x1aL\x15\x02\x15\x00\x00"
    assert data[17:30] == b"(\xb5/\xfd \x04!\x00\x00\x00\x00\x00\x00"
    assert read(ParquetSource({}), path).column(0).to_pylist() == [0] * 21_186


@pytest.mark.parametrize("name", REFUSED)
def test_what_pyarrow_cannot_say_is_refused_by_name(name: str, parquet_root: Path) -> None:
    with pytest.raises(SpecError, match=REFUSED[name]) as caught:
        read(ParquetSource({}), parquet_root / "data" / f"{name}.parquet")
    assert name in caught.value.where


@pytest.mark.parametrize("name", NOT_READ_HERE)
def test_a_plan_sees_what_is_large(name: str, parquet_root: Path) -> None:
    _, _, found = looked_at(ParquetSource({}), parquet_root / "data" / f"{name}.parquet")
    assert found.decoded_bytes > NOT_READ_HERE[name]


@pytest.mark.parametrize("name", EXPECTED_IN_CSV)
def test_values_equal_the_projects_own_answer(name: str, parquet_root: Path) -> None:
    table = read(ParquetSource({}), parquet_root / "data" / f"{name}.parquet")
    with (parquet_root / "data" / f"{name}_expect.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    assert [value.strip(" :") for value in header] == [name.strip(" :") for name in table.column_names]
    found = [["" if value is None else str(value) for value in row.values()] for row in table.to_pylist()]
    assert found == rows


OTHER_ENGINES = {
    "duckdb": """
import duckdb
def load(path):
    return duckdb.connect().execute("select * from read_parquet(?)", [path]).to_arrow_table()
""",
    "polars": """
import polars
def load(path):
    return polars.read_parquet(path).to_arrow()
""",
}

RUN = """
import sys, pathlib, pyarrow as pa
folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
for name in names:
    path = pathlib.Path(name)
    try:
        table = load(str(path))
        with pa.ipc.new_file(folder / (path.stem + ".arrow"), table.schema) as writer:
            writer.write_table(table)
    except BaseException as error:
        (folder / (path.stem + ".error")).write_text(repr(error))
"""


@pytest.fixture(scope="module")
def others(parquet_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the other engines read: a folder each, with NAME.arrow or NAME.error."""
    folders = {}
    for engine, load in OTHER_ENGINES.items():
        pytest.importorskip(engine, reason=f"{engine} is not installed")
        folders[engine] = tmp_path_factory.mktemp(engine)
        paths = [str(path) for path in compared(parquet_root)]
        command = [sys.executable, "-c", load + RUN, str(folders[engine]), *paths]
        subprocess.run(command, check=False, timeout=120, capture_output=True)
    return folders


def compared(root: Path) -> list[Path]:
    """The files of data that another engine reads too."""
    left_out = {*REFUSED, *NOT_READ_HERE, *NO_OTHER_READER}
    return sorted(path for path in (root / "data").glob("*.parquet") if path.stem not in left_out)


def test_values_equal_those_of_another_engine(parquet_root: Path, others: dict[str, Path]) -> None:
    unread, different = [], []
    for path in compared(parquet_root):
        own = rows_of(read(ParquetSource({}), path))
        answers = [folder / f"{path.stem}.arrow" for folder in others.values()]
        answers = [answer for answer in answers if answer.exists()]
        if not answers:
            unread.append(path.stem)
        for answer in answers:
            with pa.ipc.open_file(answer) as reader:
                if rows_of(reader.read_all()) != own:
                    different.append((path.stem, answer.parent.name))
    assert unread == []
    assert different == []


def test_split_bytes_equal_plain_ones(parquet_root: Path) -> None:
    table = read(ParquetSource({}), parquet_root / "data" / "byte_stream_split_extended.gzip.parquet")
    plain = [name for name in table.column_names if name.endswith("_plain")]
    assert len(plain) * 2 == table.num_columns
    for name in plain:
        split = name.removesuffix("_plain") + "_byte_stream_split"
        assert table.column(name).equals(table.column(split))


@pytest.mark.parametrize("batch_bytes", [1, 200, 5_000])
def test_small_batches_give_the_same_rows(parquet_root: Path, batch_bytes: int) -> None:
    for name in ("alltypes_plain", "sort_columns", "nullable.impala", "list_columns", "rle_boolean_encoding"):
        path = parquet_root / "data" / f"{name}.parquet"
        assert rows_of(read(ParquetSource({}), path, batch_bytes)) == rows_of(read(ParquetSource({}), path))


def rows_of(table: pa.Table) -> list[list[Any]]:
    """The values, without the differences in how engines name their types."""
    columns = [simple(column) for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def simple(column: pa.ChunkedArray) -> list[Any]:
    return [unnamed(value) for value in column.cast(without_times(column.type)).to_pylist()]


def without_times(kind: pa.DataType) -> pa.DataType:
    """The type with microseconds as numbers, since Python's datetime has too few years."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz) if kind.unit != "us" else pa.int64()
    if pa.types.is_struct(kind):
        return pa.struct(
            [kind.field(i).with_type(without_times(kind.field(i).type)) for i in range(kind.num_fields)]
        )
    return kind


def unnamed(value: Any) -> Any:
    """Maps as lists of pairs, floats by their bits, so that NaN equals NaN and 0.0 is not -0.0."""
    if isinstance(value, dict):
        if set(value) == {"key", "value"}:
            return (unnamed(value["key"]), unnamed(value["value"]))
        return {name: unnamed(part) for name, part in value.items()}
    if isinstance(value, list):
        return [unnamed(part) for part in value]
    if isinstance(value, tuple):
        return tuple(unnamed(part) for part in value)
    if isinstance(value, float):
        return "nan" if value != value else value.hex()
    if hasattr(value, "replace") and hasattr(value, "timestamp"):
        return int((value - type(value)(1970, 1, 1, tzinfo=value.tzinfo)).total_seconds() * 1_000_000)
    return value


CSV_FILES = (
    "comma_in_quotes", "empty", "empty_crlf", "escaped_quotes", "json", "location_coordinates", "newlines",
    "newlines_crlf", "quotes_and_newlines", "simple", "simple_crlf", "utf8",
)  # fmt: skip

ANSWERS_BESIDE_THE_FILE = {
    # The answer has another telephone number than the file.
    "location_coordinates": (0, "Contact Phone Number", "1234567890", "2095257564"),
    # The file has lost its CRLF on its way through git; the answer still has it.
    "newlines_crlf": (1, "a", "Once upon \r\na time", "Once upon \na time"),
}
"""Row, column, what the project's answer says, and what stands in its file."""


@pytest.mark.parametrize("name", CSV_FILES)
def test_csv_spectrum_reads_as_its_json_says(name: str, data_root: Path) -> None:
    root = data_root / "conformance" / "csv" / "csv-spectrum"
    answer = json.loads((root / "json" / f"{name}.json").read_text(encoding="utf-8"))
    if isinstance(answer, dict):
        answer = [answer]
    path = root / "csvs" / f"{name}.csv"
    if name in ANSWERS_BESIDE_THE_FILE:
        row, column, said, stands = ANSWERS_BESIDE_THE_FILE[name]
        assert answer[row][column] == said
        assert stands in path.read_bytes().decode()
        answer[row][column] = stands
    texts = dict.fromkeys(answer[0], pa.string())
    assert read(CsvSource(CsvSpec(null="\0"), "UTC", texts), path).to_pylist() == answer


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("simple", {"a": "int64", "b": "int64", "c": "int64"}),
        ("empty", {"a": "int64", "b": "string", "c": "string"}),
        ("location_coordinates", {"Contact Phone Number": "int64", "Cities": "string"}),
    ],
)
def test_csv_spectrum_types(name: str, types: dict[str, str], data_root: Path) -> None:
    path = data_root / "conformance" / "csv" / "csv-spectrum" / "csvs" / f"{name}.csv"
    _, _, found = looked_at(CsvSource(CsvSpec(), "UTC", {}), path)
    assert {field.name: str(field.type) for field in found.schema if field.name in types} == types


def all_rows(source: Source, paths: list[Path], schema: pa.Schema | None = None) -> Iterator[pa.Table]:
    for path in paths:
        store, piece, found = looked_at(source, path)
        yield from source.read(store, piece, schema or found.schema, BATCH_BYTES)


def test_retail_days_add_up_exactly(data_root: Path) -> None:
    paths = sorted((data_root / "retail_by_day").glob("*.csv.gz"))
    told = {"Quantity": pa.decimal128(12, 0), "UnitPrice": pa.decimal128(18, 3), "CustomerID": pa.string()}
    text = dict.fromkeys(("InvoiceNo", "StockCode"), pa.string())
    table = pa.concat_tables(all_rows(CsvSource(CsvSpec(), "UTC", {**told, **text}), paths))
    assert (len(paths), table.num_rows) == (305, 541_909)
    total = pc.sum(pc.multiply(table["Quantity"], table["UnitPrice"])).as_py()
    assert str(total) == "9747747.934"
    assert table["CustomerID"].null_count == 135_080
    assert table["CustomerID"][0].as_py() == "17850.0"
    assert table["Description"].null_count == 1_454


def test_taxi_months_have_all_their_rows(data_root: Path) -> None:
    paths = sorted((data_root / "nyc_taxi_monthly").glob("*.csv.gz"))
    rows = [
        sum(table.num_rows for table in all_rows(CsvSource(CsvSpec(), "UTC", {}), [path])) for path in paths
    ]
    assert rows == [10_000] * 27
