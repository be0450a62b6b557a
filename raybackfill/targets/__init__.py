"""Targets: one file format a module. To add one: a module here and a line in `wiring.py`."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa

from raybackfill.control.arrow.text_bounds import Bounds
from raybackfill.storage import ObjectInfo, Upload


class FileWriter(Protocol):
    """One staged file being written. The promise: after `close` the object holds exactly the rows
    given, in order; the same rows in the same tables give the same bytes but for the stamp.

    `bounds`, after `close`: smallest and largest of its texts, as far as the file knows them.
    """

    rows: int
    bounds: Bounds

    def write(self, table: pa.Table) -> None: ...

    def size(self) -> int:
        """Bytes written so far, about."""

    def close(self) -> ObjectInfo: ...

    def abort(self) -> None: ...


class Target(Protocol):
    suffix: str

    def writer(self, upload: Upload, schema: pa.Schema, *, stamp: str) -> FileWriter: ...
