"""Tries a store before it is relied on: what safety needs must hold, what is merely missing is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from raybackfill.errors import IntegrityError, SpecError
from raybackfill.storage import ObjectStore

ONE, TWO = b"one", b"another"
STALE = "0123456789abcdef0123456789abcdef"
"""No object's tag."""

SAFE_ONLY_ALONE = "is only safe while nobody else writes there"
SLEEPER = (
    "a publisher that slept within one can put an old file over a newer one, "
    "until the next command repairs it"
)
DELETE = "conditional delete"


@dataclass(frozen=True)
class Findings:
    """`missing`: in words what the store does not do; `now`: the time by its own clock, where it tells."""

    missing: tuple[str, ...]
    now: datetime | None


def probe(store: ObjectStore, folder: str, token: str, *, single_writer: bool) -> Findings:
    """Write, replace and remove two small objects below `folder`; about thirty requests. `token` makes
    their names this probe's own. A crash may leave them: nothing ever reads them.

    SpecError where a second create of one key succeeds, unless there is a `single_writer` only.
    """
    key, other = f"{folder}/{token}-a", f"{folder}/{token}-b"
    with _removed(store, key, other):
        missing = list(_creates(store, key, single_writer))
        now = _modified(store, key)
        missing += _replaces(store, key)
        missing += _copies(store, key, other)
        missing += _deletes(store, other)
    return Findings(tuple(missing), now)


@contextmanager
def _removed(store: ObjectStore, *keys: str) -> Iterator[None]:
    try:
        yield
    finally:
        for key in keys:
            store.delete(key)


def _creates(store: ObjectStore, key: str, single_writer: bool) -> Iterator[str]:
    first = store.put(key, ONE, create=True)
    second = store.put(key, TWO, create=True)
    if first is not None and second is None and store.read(key).to_pybytes() == ONE:
        return
    said = "create-only put (it accepts a second create of the same key)"
    if not single_writer:
        raise SpecError(
            f"the store has no {said}, so that two drivers could overwrite each other's record",
            where=f"{store.scheme}://{key}",
            next="use a store with conditional writes (If-None-Match), or, if nobody else writes there "
            "meanwhile, say storage.single_writer: true",
        )
    yield f"{said}: it {SAFE_ONLY_ALONE}"


def _replaces(store: ObjectStore, key: str) -> Iterator[str]:
    there = store.head(key)
    if there is None or store.put(key, TWO, replaces=STALE) is not None:
        yield f"conditional replace: a path {SAFE_ONLY_ALONE}"
    elif store.put(key, TWO, replaces=there.tag) is None:
        yield "conditional replace: it refuses the right tag"
    try:
        store.read(key, tag=STALE)
    except IntegrityError:
        return
    yield "conditional read: an object that changes while it is read may not be noticed"


def _copies(store: ObjectStore, key: str, other: str) -> Iterator[str]:
    if not _refuses_copies(store, key, other, parts=False):
        yield f"conditional copy: {SLEEPER}"
    elif not _refuses_copies(store, key, other, parts=True):
        yield f"conditional copy in parts, of objects above 5 GB: {SLEEPER}"


def _refuses_copies(store: ObjectStore, key: str, other: str, *, parts: bool) -> bool:
    """Tried where the source has another tag, where the target is there, and where it has another tag."""
    source, there = store.put(other, ONE), store.put(key, TWO)
    assert source is not None and there is not None, "only a condition is answered with None"
    tries = [(STALE, there.tag), (source.tag, None), (source.tag, STALE)]
    return all(store.refuses_copy(other, key, tag=tag, replaces=over, parts=parts) for tag, over in tries)


def _deletes(store: ObjectStore, key: str) -> Iterator[str]:
    store.put(key, ONE)
    if not store.refuses_delete(key, tag=STALE):
        yield f"{DELETE}: what a closed run leaves under the target stays there"


def _modified(store: ObjectStore, key: str) -> datetime | None:
    found = store.page(key).objects
    at: datetime | None = found["modified"][0].as_py() if found.num_rows else None
    return at
