"""A project in memory for tests of whole runs, and a store that dies at a given call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raybackfill import wiring, worker
from raybackfill.api import Backfill
from raybackfill.spec import read_spec
from raybackfill.storage.memory import MemoryStore

VERBS = ("page", "head", "read", "open", "put", "upload", "copy", "delete")
CHANGES = ("put", "copy", "delete", "commit")


class Crashed(BaseException):
    """The process died: nothing of ours catches it."""


class CrashingStore:
    """Counts every call, and dies at one of them: before its effect, or after it. Once dead, every
    further call dies too, whichever thread makes it."""

    scheme = "file"

    def __init__(self, store: Any, at: int | None = None, *, after: bool = False) -> None:
        self._store = store
        self._at = at
        self._after = after
        self._lock = Lock()
        self.calls: list[str] = []

    def __getattr__(self, verb: str) -> Any:
        if verb not in VERBS:
            raise AttributeError(verb)
        return self.guarded(verb, getattr(self._store, verb))

    def guarded(self, verb: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            dies = self._enter(verb)
            if dies and not self._after:
                raise Crashed(verb)
            result = act(*args, **options)
            if dies:
                raise Crashed(verb)
            return _Upload(self, result) if verb == "upload" else result

        return call

    def _enter(self, verb: str) -> bool:
        with self._lock:
            self.calls.append(verb)
            number = len(self.calls)
        if self._at is not None and number > self._at:
            raise Crashed(verb)
        return number == self._at


class _Upload:
    def __init__(self, store: CrashingStore, upload: Any) -> None:
        self.write = upload.write
        self.abort = upload.abort
        self.commit = store.guarded("commit", upload.commit)


@contextmanager
def this_process(store: Any) -> Iterator[None]:
    """Run with this store for every place, as a process of its own: nothing is left from before."""
    before = wiring.open_store
    wiring.open_store = lambda *_: store  # type: ignore[assignment]
    worker._benches.clear()
    try:
        yield
    finally:
        wiring.open_store = before  # type: ignore[assignment]
        worker._benches.clear()


def write_parquet(store: MemoryStore, key: str, table: pa.Table, row_group_size: int = 1000) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=row_group_size)
    store.put(key, sink.getvalue().to_pybytes())


def backfill(config: str, root: Path = Path("/project")) -> Backfill:
    spec = read_spec(config, where="test.yaml", root=str(root), read_file=lambda name: "")
    return Backfill(spec, root, "test.yaml")


def rows_of(store: Any, prefix: str) -> dict[str, list[dict[str, Any]]]:
    """path -> rows, of every file below a prefix: the table by content and listing."""
    keys = store.page(prefix).objects["key"].to_pylist()
    return {key[len(prefix) :]: pq.read_table(pa.BufferReader(store.read(key))).to_pylist() for key in keys}
