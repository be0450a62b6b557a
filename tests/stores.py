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
from raybackfill.storage import ObjectInfo
from raybackfill.storage.memory import MemoryStore

VERBS = (
    *("page", "head", "read", "open", "put", "upload", "copy", "refuses_copy", "delete", "refuses_delete"),
    *("uploads", "abandon"),
)
CHANGES = ("put", "copy", "refuses_copy", "delete", "refuses_delete", "commit")


class Ignoring(MemoryStore):
    """Takes conditions and ignores some of them, as stores do that only look like S3: of a copy (as moto
    does) and of a delete they are looked at before, as S3Store does, and what comes then is overwritten."""

    def __init__(self, *ignored: str) -> None:
        super().__init__()
        self._ignored = ignored

    def put(
        self, key: str, data: bytes, *, create: bool = False, replaces: str | None = None
    ) -> ObjectInfo | None:
        create = create and "create" not in self._ignored
        return super().put(
            key, data, create=create, replaces=None if "replaces" in self._ignored else replaces
        )

    def refuses_copy(self, source: str, key: str, **conditions: Any) -> bool:
        if "copy" not in self._ignored:
            return super().refuses_copy(source, key, **conditions)
        self.copy(source, key)
        return False

    def refuses_delete(self, key: str, *, tag: str) -> bool:
        return not self.delete(key, tag=None if "delete" in self._ignored else tag)

    def read(self, key: str, *, tag: str | None = None, **more: Any) -> Any:
        return super().read(key, tag=None if "read" in self._ignored else tag, **more)


class Crashed(BaseException):
    """The process died: nothing of ours catches it."""


class CrashingStore:
    """Counts every call, and dies at one of them: before its effect, or after it. Once dead, every
    further call dies too, whichever thread makes it. `calls` are verbs, `keys` what they were about."""

    def __init__(
        self, store: Any, at: int | None = None, *, after: bool = False, scheme: str = "file"
    ) -> None:
        self._store = store
        self._at = at
        self._after = after
        self._lock = Lock()
        self.scheme = scheme
        self.calls: list[str] = []
        self.keys: list[str] = []

    def __getattr__(self, verb: str) -> Any:
        if verb not in VERBS:
            raise AttributeError(verb)
        return self.guarded(verb, getattr(self._store, verb))

    @property
    def is_dead(self) -> bool:
        return self._at is not None and len(self.calls) >= self._at

    def guarded(self, verb: str, act: Callable[..., Any], key: str = "") -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            about = key or key_of_call(verb, args)
            dies = self._enter(verb, about)
            if dies and not self._after:
                raise Crashed(verb)
            result = act(*args, **options)
            if dies:
                raise Crashed(verb)
            return _Upload(self, about, result) if verb == "upload" else result

        return call

    def _enter(self, verb: str, key: str) -> bool:
        with self._lock:
            self.calls.append(verb)
            self.keys.append(key)
            number = len(self.calls)
        if self._at is not None and number > self._at:
            raise Crashed(verb)
        return number == self._at


def key_of_call(verb: str, args: tuple[Any, ...]) -> str:
    """What a call is about: of a copy, what it makes."""
    place = args[1] if verb in ("copy", "refuses_copy") else args[0]
    return str(getattr(place, "key", place))


class _Upload:
    def __init__(self, store: CrashingStore, key: str, upload: Any) -> None:
        self._store = store
        self._upload = upload
        self.write = upload.write
        self.commit = store.guarded("commit", upload.commit, key)

    def abort(self) -> None:
        # The dead clean up nothing.
        if not self._store.is_dead:
            self._upload.abort()


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
