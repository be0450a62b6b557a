"""Reads back what a unit staged, or what was published of it, as it lies in the store now."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import pyarrow as pa
import pyarrow.parquet as pq

from raybackfill.control.arrow.text_bounds import Bounds, merged, text_bounds
from raybackfill.control.proving.evidence import Evidence, FileFound, Place
from raybackfill.errors import IntegrityError, RaybackfillError, TransientError
from raybackfill.flow.proof import Proof
from raybackfill.model import Receipt, StagedFile, checksum
from raybackfill.paths import RunPaths
from raybackfill.sources.footers.repeats import repeating_columns
from raybackfill.storage import ObjectInfo, ObjectStore
from raybackfill.storage.listing import list_objects
from raybackfill.storage.parallel import in_parallel
from raybackfill.targets.parquet import STAMP


@dataclass(frozen=True)
class Asked:
    """What is to be looked at: a unit's attempt that the journal decided on, with the checksum of its
    receipt that it holds. `paths`: staged key -> where the file must be in the table; None for a unit
    that is not published. `read_back`: whether rows are read, too."""

    unit: str
    attempt: str
    sealed: str
    read_back: bool
    paths: Mapping[str, Place] | None = None


@dataclass(frozen=True)
class Looking:
    """Looks at units of one run. `restore` gives the columns that a folder's name holds, of those of
    `schema`, the target's; `folders` names the folder that each row belongs to."""

    staged_store: ObjectStore
    table_store: ObjectStore
    run: RunPaths
    schema: pa.Schema
    restore: Callable[[str], Mapping[str, pa.Scalar]]
    folders: Callable[[pa.Table], pa.DictionaryArray]

    def at(self, asked: Asked) -> Evidence:
        """TransientError where the store does not answer; whatever else is wrong is evidence."""
        started = time.perf_counter()
        key = self.run.receipt(asked.unit, asked.attempt)
        evidence = Evidence(asked.unit, asked.attempt, asked.sealed, key)
        data = self._receipt(key)
        if data is None:
            return replace(evidence, problem="there is none")
        try:
            receipt = Receipt.from_json(json.loads(data))
        except (ValueError, KeyError, TypeError, IntegrityError) as error:
            return replace(evidence, checksum=checksum(data), problem=f"it cannot be read: {error}")
        evidence = replace(evidence, checksum=checksum(data), receipt=receipt)
        if asked.paths is None:
            evidence = self._staged(evidence, receipt)
        else:
            evidence = self._published(evidence, receipt, asked.paths)
        if asked.read_back:
            evidence = self._read_back(evidence, receipt, self._store(asked))
        return replace(evidence, seconds=time.perf_counter() - started)

    def _receipt(self, key: str) -> bytes | None:
        if self.staged_store.head(key) is None:
            return None
        data: bytes = self.staged_store.read(key).to_pybytes()
        return data

    def _store(self, asked: Asked) -> ObjectStore:
        return self.staged_store if asked.paths is None else self.table_store

    def _staged(self, evidence: Evidence, receipt: Receipt) -> Evidence:
        folder = self.run.attempt(receipt.unit, evidence.attempt) + "/"
        listing = list_objects(self.staged_store, folder).to_pylist()
        there = {row["key"]: FileFound(row["size"], row["tag"]) for row in listing}
        there.pop(evidence.receipt_key, None)
        places = {file.key: Place(file.key, file.key, file.size, file.tag) for file in receipt.files}
        return replace(
            evidence,
            places=places,
            found={key: there[key] for key in places if key in there},
            unlisted=tuple(sorted(there.keys() - places.keys())),
        )

    def _published(self, evidence: Evidence, receipt: Receipt, paths: Mapping[str, Place]) -> Evidence:
        """A file that a later version replaced is in none of the table's paths: that one's run answers."""
        places = {file.key: paths[file.key] for file in receipt.files if file.key in paths}
        infos = in_parallel(lambda place: self.table_store.head(place.key), places.values())
        found = {
            key: FileFound(info.size, info.tag, stamp=info.stamp or "")
            for key, info in zip(places, infos, strict=True)
            if info is not None
        }
        return replace(evidence, places=places, found=found)

    def _read_back(self, evidence: Evidence, receipt: Receipt, store: ObjectStore) -> Evidence:
        proof, found = Proof(), dict(evidence.found)
        bounds: list[Bounds] = []
        read = 0
        for file in receipt.files:
            there = found.get(file.key)
            if there is None:
                continue
            info = ObjectInfo(evidence.places[file.key].key, there.size, there.tag)
            try:
                found[file.key], of_file = self._read(store, info, file, there, proof)
                bounds.append(of_file)
                read += there.size
            except TransientError:
                raise
            except (RaybackfillError, pa.ArrowException, OSError, ValueError) as error:
                text = str(error).strip().splitlines()
                found[file.key] = replace(there, problem=text[0] if text else type(error).__name__)
        seen = [found.get(file.key) for file in receipt.files]
        return replace(
            evidence,
            found=found,
            # A file that is gone, cannot be read, or was replaced by a later version takes the unit's sums
            # with it: what is wrong with it is said already, and single files have none.
            read_back=all(file is not None and not file.problem for file in seen),
            partitions=proof.partitions(),
            columns=proof.columns(reduce(merged, bounds) if bounds else {}),
            bytes_read=read,
        )

    def _read(
        self, store: ObjectStore, info: ObjectInfo, file: StagedFile, there: FileFound, proof: Proof
    ) -> tuple[FileFound, Bounds]:
        constants = self.restore(file.partition)
        rows = 0
        parquet = _opened(store.open(info, whole=True))
        for table in _tables(parquet):
            whole = self._whole(table, constants)
            # By where the rows belong, not by where they lie: a row in a wrong folder shows.
            proof.add(whole, self.folders(whole))
            rows += whole.num_rows
        metadata = parquet.schema_arrow.metadata or {}
        stamp = metadata.get(STAMP.encode(), b"").decode(errors="replace")
        return replace(there, rows=rows, stamp=stamp), text_bounds(parquet.metadata, parquet.schema_arrow)

    def _whole(self, table: pa.Table, constants: Mapping[str, pa.Scalar]) -> pa.Table:
        """The rows with the columns that their folder's name holds, in the target's schema."""
        columns = []
        for field in self.schema:
            if field.name in constants and field.name not in table.column_names:
                columns.append(pa.repeat(constants[field.name], table.num_rows).cast(field.type))
                continue
            if field.name not in table.column_names:
                raise ValueError(f"it has no column {field.name}")
            column = table.column(field.name)
            is_encoded = pa.types.is_dictionary(column.type)
            columns.append(column if is_encoded or column.type == field.type else column.cast(field.type))
        surplus = set(table.column_names) - set(self.schema.names)
        if surplus:
            raise ValueError(f"it has columns that the target has not: {', '.join(sorted(surplus))}")
        return pa.table(columns, self.schema.names)


def _opened(file: pa.NativeFile) -> pq.ParquetFile:
    options = {"pre_buffer": False, "page_checksum_verification": True}
    parquet = pq.ParquetFile(file, **options)
    repeating = repeating_columns(parquet.metadata, parquet.schema_arrow)
    if not repeating:
        return parquet
    # Repeated texts stay dictionaries: each is then decoded and hashed once.
    return pq.ParquetFile(file, metadata=parquet.metadata, read_dictionary=repeating, **options)


def _tables(parquet: pq.ParquetFile) -> Sequence[pa.Table]:
    groups = range(parquet.metadata.num_row_groups)
    return (parquet.read_row_group(group, use_threads=False) for group in groups)  # type: ignore[return-value]
