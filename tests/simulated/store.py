"""A store that fails as real ones do: before, after, or long after the effect of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from raybackfill.errors import TransientError
from raybackfill.storage import ObjectInfo, Page, allows
from raybackfill.storage.memory import MemoryStore
from tests.simulated.world import Actor, World

CREATED_ONCE = ("/journal/", "/versions/", "/run.json")


class WatchedStore(MemoryStore):
    """The objects themselves. What is made once must stay what it was."""

    def __init__(self) -> None:
        super().__init__(page_objects=1_000_000)
        self._made: dict[str, bytes] = {}

    def _place(self, key: str, value: Any) -> ObjectInfo:
        if any(part in key for part in CREATED_ONCE):
            before = self._made.setdefault(key, value.data)
            assert before == value.data, f"{key} was made once, and then became another"
        return super()._place(key, value)


class FailingStore:
    """The store as one actor meets it. A call fails before its effect (503, a reset), after it (the reply
    is lost), or takes effect later; a create may also be refused by its own earlier try, as an S3 client
    that tries again meets it."""

    scheme = "file"

    def __init__(
        self, store: MemoryStore, world: World, actor: Actor, *, keeps_conditions: bool = True
    ) -> None:
        self._store = store
        self._keeps_conditions = keeps_conditions
        self._world = world
        self._actor = actor

    def page(self, prefix: str, *, after: str | None = None, folders: bool = False) -> Page:
        found: Page = self._call(
            "lists", prefix, lambda: self._store.page(prefix, after=after, folders=folders)
        )
        return found

    def head(self, key: str) -> ObjectInfo | None:
        found: ObjectInfo | None = self._call("looks at", key, lambda: self._store.head(key))
        return found

    def read(self, key: str, **options: Any) -> pa.Buffer:
        return self._call("reads", key, lambda: self._store.read(key, **options))

    def open(self, info: ObjectInfo, *, whole: bool) -> pa.NativeFile:
        return self._call("opens", info.key, lambda: self._store.open(info, whole=whole))

    def upload(self, key: str, *, stamp: str) -> FailingUpload:
        return FailingUpload(self, key, self._store.upload(key, stamp=stamp))

    def put(
        self, key: str, data: bytes, *, create: bool = False, replaces: str | None = None
    ) -> ObjectInfo | None:
        made: ObjectInfo | None = self._call(
            "makes" if create else "writes",
            key,
            lambda: self._store.put(key, data, create=create, replaces=replaces),
            ("before", "after", "late", "own") if create else ("before", "after", "late"),
        )
        return made

    def copy(self, source: str, key: str, **conditions: Any) -> ObjectInfo | None:
        if not self._keeps_conditions:
            # As by many stores that look like S3: what it is only to replace is looked at before.
            over = {name: conditions.pop(name) for name in ("create", "replaces") if name in conditions}
            if not allows(self._store.head(key), **{"create": False, "replaces": None, **over}):
                return None
        made: ObjectInfo | None = self._call(
            "copies to",
            key,
            lambda: self._store.copy(source, key, **conditions),
            ("before", "after", "late"),
        )
        return made

    def delete(self, key: str, *, tag: str | None = None) -> bool:
        gone: bool = self._call(
            "removes", key, lambda: self._store.delete(key, tag=tag), ("before", "after", "late")
        )
        return gone

    def _call(
        self, verb: str, key: str, act: Callable[[], Any], faults: tuple[str, ...] = ("before",)
    ) -> Any:
        world, doing = self._world, f"{verb} {_short(key)}"
        world.step(self._actor, doing)
        if not world.chance(world.chances.store):
            return act()
        who = f"{self._actor.name} {doing}"
        fault = world.random.choice(faults)
        if fault == "before":
            world.note("before", f"{who}: 503")
            raise TransientError("503 SlowDown", where=key)
        if fault == "late":
            world.note("delayed", f"{who}: no reply, and the write is still on its way")
            world.late.append((who, act))
            raise TransientError("timeout", where=key)
        act()
        if fault == "own":
            world.note("own", f"{who}: done, and then refused by its own first try")
            return None
        world.note("after", f"{who}: done, and the reply is lost")
        raise TransientError("connection reset", where=key)


class FailingUpload:
    """Nobody sees it before it is committed, and that is one call."""

    def __init__(self, store: FailingStore, key: str, upload: Any) -> None:
        self._store = store
        self._key = key
        self._upload = upload
        self.write = upload.write
        self.abort = upload.abort

    def commit(self) -> ObjectInfo:
        made: ObjectInfo = self._store._call(
            "commits", self._key, self._upload.commit, ("before", "after", "late")
        )
        return made


def _short(key: str) -> str:
    return key.removeprefix("/t/_raybackfill/").removeprefix("/t/")
