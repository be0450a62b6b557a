"""Decides which text columns of a Parquet file are read by their dictionary, and gives them as text again."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from raybackfill.sources.footers.sizes import leaf_count

# Decoding each text of a column on its own costs twice what looking it up in a dictionary does; in a
# small file that is less than opening it a second time.
ROWS_MIN = 20_000
# What an index into a small dictionary takes at most, packed.
BYTES_A_ROW_MAX = 2


def repeating_columns(footer: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """The names of text columns that the file holds as few values and their numbers. `schema` is the
    file's as Arrow shows it."""
    if footer.num_rows < ROWS_MIN:
        return []
    return [name for name, leaf in _texts(schema) if leaf < footer.num_columns and _repeats(footer, leaf)]


def _texts(schema: pa.Schema) -> Iterator[tuple[str, int]]:
    leaf = 0
    for field in schema:
        if pa.types.is_string(field.type):
            yield field.name, leaf
        leaf += leaf_count(field.type)


def _repeats(footer: pq.FileMetaData, leaf: int) -> bool:
    groups = (footer.row_group(index) for index in range(footer.num_row_groups))
    return all(_is_packed(group.column(leaf), group.num_rows) for group in groups)


def _is_packed(chunk: pq.ColumnChunkMetaData, rows: int) -> bool:
    return bool(chunk.has_dictionary_page) and chunk.total_uncompressed_size <= rows * BYTES_A_ROW_MAX


def as_text(table: pa.Table, names: list[str]) -> pa.Table:
    """The table with these columns as the texts that they stand for."""
    for name in names:
        index = table.schema.get_field_index(name)
        if index >= 0:
            field = table.schema.field(index).with_type(pa.string())
            table = table.set_column(index, field, table.column(index).cast(pa.string()))
    return table
