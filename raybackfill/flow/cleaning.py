"""Finds and removes what runs left behind and nobody can need: by reference, never by age."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from raybackfill.control.proving.littering import Litter, losers
from raybackfill.control.running.ledger import Ledger
from raybackfill.flow.closing import leftovers
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectStore
from raybackfill.storage.listing import list_objects
from raybackfill.storage.parallel import in_parallel
from raybackfill.table import Table


def litter(table: Table, run: RunPaths, read_ledger: Callable[[], Ledger]) -> tuple[Ledger, list[Litter]]:
    """What may go of a run, and its ledger, which is read after the files were listed: a receipt that
    comes in between is seen. Of a closed run that is all which its close did not get hold of."""
    store = table.state_store
    rows = list_objects(store, run.staged).to_pylist()
    found = [Litter(row["key"], row["size"], row["tag"]) for row in rows]
    found += [Litter(each.key, 0, "", each.id) for each in store.uploads(run.staged)]
    ledger = read_ledger()
    if ledger.state != "closed":
        return ledger, losers(found, run, ledger)
    left = [Litter(key, size, tag) for key, tag, size in leftovers(table, run)]
    return ledger, [*left, *(each for each in found if each.upload)]


def remove(store: ObjectStore, found: Iterable[Litter]) -> None:
    """Safe to repeat: what is gone already is no error, and what somebody else put there stays."""

    def act(each: Litter) -> None:
        if each.upload:
            store.abandon(each.key, each.upload)
        else:
            store.delete(each.key, tag=each.tag)

    in_parallel(act, list(found))
