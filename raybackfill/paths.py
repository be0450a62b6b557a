"""Every object key that raybackfill reads or writes: nowhere else is one put together.

A location is `s3://bucket/key`, `/absolute/path` or, where it is only read, another `scheme://..`; a
key is the same without "scheme://".
Nothing of ours ever lies under a target: readers that list it see the table's own files only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FOLDER = "_raybackfill"


_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


def scheme_of(uri: str) -> str:
    """Names the kind of store that a URI lies in: "s3", "file" for a path, or that of another filesystem."""
    match = _SCHEME.match(uri)
    return "file" if match is None else match.group(1).lower()


def uri_of(scheme: str, key: str) -> str:
    """The URI of a key in a store of this scheme."""
    return key if scheme == "file" else f"{scheme}://{key}"


def key_of(uri: str) -> str:
    """The key of a URI within its store, without a slash at the end."""
    return _SCHEME.sub("", uri).rstrip("/")


def join(root: str, *parts: str) -> str:
    return "/".join([root.rstrip("/"), *(part.strip("/") for part in parts if part)])


def parent(uri: str) -> str:
    return uri.rstrip("/").rsplit("/", 1)[0]


def last_segment(uri: str) -> str:
    return uri.rstrip("/").rsplit("/", 1)[1]


def default_state(target_uri: str) -> str:
    return join(parent(target_uri), FOLDER)


def scratch(location: str) -> str:
    """Temporary files of a local disk, beside a target or in a state folder: never listed as ours."""
    return join(location, ".tmp")


def slot(folder: str, index: int) -> str:
    """The path of a table's file below its target: deterministic, so that a replay writes the same."""
    name = f"part-{index:05d}.parquet"
    return join(folder, name) if folder else name


def appended(folder: str, run_id: str, unit: str, index: int) -> str:
    """The path of a file that is added to a table: by run and unit, and never by what is free, so that a
    replay writes the same and two runs never meet."""
    name = f"part-{run_id}-{unit}-{index:05d}.parquet"
    return join(folder, name) if folder else name


@dataclass(frozen=True, slots=True)
class PlanPaths:
    """<state>/<name>/plans/<plan_id>/"""

    state: str
    name: str
    plan_id: str

    @property
    def root(self) -> str:
        return join(self.state, self.name, "plans", self.plan_id)

    @property
    def plan(self) -> str:
        return join(self.root, "plan.json")

    @property
    def spec(self) -> str:
        return join(self.root, "spec.yaml")

    @property
    def code(self) -> str:
        return join(self.root, "code.zip")

    def units(self, index: int) -> str:
        return join(self.root, f"units-{index:05d}.parquet")

    @property
    def target_files(self) -> str:
        return join(self.root, "target-files.parquet")


@dataclass(frozen=True, slots=True)
class RunPaths:
    """<state>/<name>/runs/<run_id>/"""

    state: str
    name: str
    run_id: str

    @classmethod
    def of_root(cls, root: str) -> RunPaths:
        state, name, _, run_id = root.rstrip("/").rsplit("/", 3)
        return cls(state, name, run_id)

    @property
    def root(self) -> str:
        return join(runs(self.state, self.name), self.run_id)

    @property
    def run(self) -> str:
        return join(self.root, "run.json")

    @property
    def journal(self) -> str:
        return join(self.root, "journal") + "/"

    def journal_entry(self, sequence: int) -> str:
        return f"{self.journal}{sequence:010d}.json"

    @property
    def snapshots(self) -> str:
        return join(self.root, "snapshots") + "/"

    def snapshot(self, sequence: int) -> str:
        """The ledger after the journal's entries up to this one."""
        return f"{self.snapshots}{sequence:010d}.parquet"

    @property
    def driver(self) -> str:
        """Who drives the run, written again and again while he lives."""
        return join(self.root, "driver.json")

    @property
    def probe(self) -> str:
        return join(self.root, "probe")

    @property
    def staged(self) -> str:
        return join(self.root, "staged") + "/"

    def attempt(self, unit: str, attempt: str) -> str:
        return join(self.staged, unit, attempt)

    def attempt_of(self, key: str) -> tuple[str, str] | None:
        """The unit and attempt that an object in the `staged` folder is of; None for any other."""
        parts = key.removeprefix(self.staged).split("/")
        return (parts[0], parts[1]) if key.startswith(self.staged) and len(parts) == 3 else None

    def staged_file(self, unit: str, attempt: str, index: int) -> str:
        """Does not end in .parquet: a glob over the state reads no staged rows."""
        return join(self.attempt(unit, attempt), f"part-{index:05d}.staged")

    def receipt(self, unit: str, attempt: str) -> str:
        return join(self.attempt(unit, attempt), "receipt.json")

    def empty(self, version: int, epoch: int) -> str:
        """The file without rows that a version puts into the paths which it leaves without rows."""
        return join(self.root, "empty", f"{version:010d}-{epoch:010d}.staged")

    @property
    def let_go(self) -> tuple[str, ...]:
        """Where that lies which nobody needs once the run is closed."""
        return (self.staged, *(join(self.root, name) + "/" for name in ("previous", "empty", "restored")))

    def restored(self, version: int, epoch: int, path: str) -> str:
        """A file that comes back when the run is taken back."""
        return join(self.root, "restored", f"{version:010d}-{epoch:010d}", path + ".staged")

    def previous(self, version: int, path: str) -> str:
        return join(self.root, "previous", f"{version:010d}", path + ".previous")


def runs(state: str, name: str) -> str:
    return join(state, name, "runs")


def plans(state: str, name: str) -> str:
    return join(state, name, "plans")


@dataclass(frozen=True, slots=True)
class TablePaths:
    """<parent of target>/_raybackfill/tables/<last segment>/: found from the table's URI alone, so
    that two backfills with different states still exclude each other."""

    target: str

    @property
    def root(self) -> str:
        return join(parent(self.target), FOLDER, "tables", last_segment(self.target))

    @property
    def versions(self) -> str:
        return join(self.root, "versions") + "/"

    @property
    def probe(self) -> str:
        return join(self.root, "probe")

    def version(self, number: int) -> str:
        return f"{self.versions}{number:010d}.json"

    def shown(self, number: int) -> str:
        """Made once the paths were seen to show this version."""
        return join(self.root, "shown", f"{number:010d}.json")

    @property
    def symlinks(self) -> str:
        return join(self.root, "symlink") + "/"

    def symlink(self, folder: str) -> str:
        """The list of a partition's files, as Hive, Athena and Trino read it."""
        return join(self.symlinks, folder, "symlink.txt")

    def file(self, path: str) -> str:
        return join(self.target, path)
