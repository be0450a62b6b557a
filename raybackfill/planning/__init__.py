"""Hop 1, plan: what it takes to look at source and target; what follows from it is decided in control."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from raybackfill.code import Code
from raybackfill.control.planning.plan import LookupTable, Recipe
from raybackfill.model import Piece
from raybackfill.sources import Source
from raybackfill.storage import ObjectStore
from raybackfill.table import Table


class Parts(Protocol):
    """What the planner needs built: stores, readers by format, and the job to try."""

    source_store: ObjectStore
    target_store: ObjectStore
    table: Table

    def reader(self, format: str) -> Source: ...

    def target_reader(self) -> Source: ...

    def lookup_tables(self) -> Mapping[str, LookupTable]: ...

    def lookup_objects(self) -> Sequence[pa.Table]:
        """The objects (LISTING) of each of these tables, as they are now."""

    def sample(self, recipe: Recipe, code: Code, pieces: Sequence[Piece], rows: int) -> pa.Table:
        """The first rows of the pieces, as the job gets them: `rows` in all, as many of each."""

    def job(self, recipe: Recipe, code: Code) -> Callable[[pa.Table], pa.Table]: ...
