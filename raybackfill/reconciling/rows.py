"""Moves the rows behind the views: those of a plan's source, and those of the files that a run wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from raybackfill.assembly import Assembly
from raybackfill.control.planning.partitioning import Partitioning
from raybackfill.control.planning.plan import Plan
from raybackfill.errors import SpecError
from raybackfill.flow.extract import Extract, PathValues
from raybackfill.flow.unit import CALL_BYTES
from raybackfill.model import Piece
from raybackfill.paths import key_of
from raybackfill.spec import SourceSpec
from raybackfill.storage import ObjectStore
from raybackfill.wiring import make_source


@dataclass(frozen=True)
class WrittenFile:
    """A file that a run wrote, where it lies now: staged, or at its path in the table. `partition` is the
    folder that it is for."""

    store: ObjectStore
    key: str
    size: int
    tag: str
    partition: str


class Rows:
    """The rows behind the views: those of the plan's source as the job gets them, and those that the run
    wrote, the ones that it carried over among them."""

    def __init__(self, plan: Plan, assembly: Assembly, files: Sequence[WrittenFile]) -> None:
        self._plan = plan
        self._assembly = assembly
        self._files = files

    def source(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        self._refuse_replaced_source()
        extract = self._assembly.extract(scoped=True)
        for unit in self._plan.units():
            if unit.stage == "work":
                for batch in extract.batches(unit.pieces, CALL_BYTES):
                    yield batch.table

    def target(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        recipe = self._plan.recipe
        spec = recipe.spec.target
        layout = Partitioning(spec.partition_by, spec.timezone)
        needed = pa.schema([recipe.output_schema.field(name) for name in columns])
        in_files = set(layout.file_columns(recipe.output_schema))
        of_files = pa.schema([field for field in needed if field.name in in_files])
        partitions = {file.key: file.partition for file in self._files}

        def path_values(keys: Sequence[str]) -> list[PathValues]:
            return [PathValues(layout.restore(partitions[key], recipe.output_schema)) for key in keys]

        source = make_source(spec.format, SourceSpec(spec.uri))
        for _, files in groupby(self._files, key=lambda file: id(file.store)):
            of_one_store = list(files)
            extract = Extract(of_one_store[0].store, source, path_values, of_files, needed, [], spec.timezone)
            pieces = [Piece(file.key, file.size, file.tag, None, -1, 0) for file in of_one_store]
            for batch in extract.batches(pieces, CALL_BYTES):
                yield batch.table

    def _refuse_replaced_source(self) -> None:
        root = key_of(self._plan.recipe.spec.target.uri) + "/"
        if self._plan.recipe.spec.in_place and any(file.key.startswith(root) for file in self._files):
            raise SpecError(
                "the source is the table itself, and this run has replaced what it read there",
                where="verify.reconcile",
                next="compare what was published with a database; the view source is there until then",
            )
