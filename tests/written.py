"""The files that a run wrote, as `verify` hands them to what looks at them."""

from __future__ import annotations

from raybackfill import api
from raybackfill.flow.publish import read_receipts
from raybackfill.paths import TablePaths, key_of
from raybackfill.reconciling import Reconciled, WrittenFile, reconcile_run


def staged_files(run: api.Run) -> list[WrittenFile]:
    """Where its attempts left them."""
    opened = run._opened
    ledger, store = opened.checkpoint().ledger, opened.stores.state
    leaves = [leaf for unit in opened.plan.units_table["unit"].to_pylist() for leaf in ledger.leaves(unit)]
    receipts = read_receipts(store, opened.paths, {leaf: ledger.decided[leaf] for leaf in leaves})
    files = [file for receipt in receipts.values() for file in receipt.files]
    return [WrittenFile(store, file.key, file.size, file.tag, file.partition) for file in files]


def published_files(run: api.Run) -> list[WrittenFile]:
    """At their paths in the table."""
    opened = run._opened
    store, paths = opened.stores.target, TablePaths(key_of(opened.plan.recipe.spec.target.uri))
    version = opened.table().version_of(opened.paths.run_id, opened.plan.base_version)
    assert version is not None
    made = [file.path for file in version.files if file.staged]
    infos = {path: store.head(paths.file(path)) for path in made}
    return [
        WrittenFile(store, info.key, info.size, info.tag, path.rpartition("/")[0])
        for path, info in infos.items()
        if info is not None
    ]


def reconciled(run: api.Run, files: list[WrittenFile] | None = None) -> list[Reconciled]:
    opened = run._opened
    written = staged_files(run) if files is None else files
    return reconcile_run(opened.plan, opened.stores, opened.paths, written)
