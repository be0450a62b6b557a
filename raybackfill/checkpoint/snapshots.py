"""Snapshots of the ledger, columnar: a million decisions are one file, and not a million lines."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raybackfill.checkpoint.journal import Heads
from raybackfill.control.running.ledger import Ledger
from raybackfill.errors import IntegrityError

FORMAT = "snapshot/2"
FORMATS_READ = ("snapshot/1", FORMAT)
"""The first has no seals and no digest."""
DECISIONS = pa.schema(
    [pa.field("unit", pa.string()), pa.field("attempt", pa.string()), pa.field("seal", pa.string())]
)


def written(ledger: Ledger, heads: Heads, at: str) -> bytes:
    """The ledger after the entries before `heads.next`, as a Parquet file of its decisions; all else
    stands in the file's metadata."""
    document = {"ledger": ledger.to_document(), "heads": asdict(heads), "at": at}
    metadata = {"format": FORMAT, "document": json.dumps(document, separators=(",", ":"))}
    seals = map(ledger.seals.get, ledger.decided)
    values = (ledger.decided.keys(), ledger.decided.values(), seals)
    columns = [pa.array(each, pa.string()) for each in values]
    sink = io.BytesIO()
    table = pa.table(columns, schema=DECISIONS.with_metadata(metadata))
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    return sink.getvalue()


def read(key: str, data: pa.Buffer) -> tuple[Ledger, Heads, str]:
    """The ledger, the journal's heads, and the time of the last entry that the snapshot holds."""
    table = pq.read_table(pa.BufferReader(data))
    document = _document(key, table.schema)
    units = table["unit"].to_pylist()
    decided = dict(zip(units, table["attempt"].to_pylist(), strict=True))
    seals = table["seal"].to_pylist() if "seal" in table.column_names else [None] * len(units)
    known = {unit: seal for unit, seal in zip(units, seals, strict=True) if seal is not None}
    return Ledger.from_document(document["ledger"], decided, known), _heads(document), document["at"]


def read_heads(key: str, data: pa.Buffer) -> Heads:
    """The journal's heads alone."""
    return _heads(_document(key, pq.read_schema(pa.BufferReader(data))))


def _document(key: str, schema: pa.Schema) -> dict[str, Any]:
    metadata = schema.metadata or {}
    format = metadata.get(b"format", b"").decode()
    if format not in FORMATS_READ:
        raise IntegrityError(
            f"the snapshot's format is {format!r}, this version reads {FORMAT}",
            where=key,
            next="use the version of raybackfill that wrote it",
        )
    document: dict[str, Any] = json.loads(metadata[b"document"])
    return document


def _heads(document: Mapping[str, Any]) -> Heads:
    heads = Heads(**document["heads"])
    heads.batches = {driver: (batch, at) for driver, (batch, at) in heads.batches.items()}
    return heads
