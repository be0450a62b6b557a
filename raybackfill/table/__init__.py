"""A table: its numbered versions, and what lies under the target now."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.errors import IntegrityError
from raybackfill.model import VERSION_FORMATS, TableFile, Version
from raybackfill.paths import TablePaths, key_of
from raybackfill.storage import ObjectStore
from raybackfill.storage.listing import list_objects
from raybackfill.storage.parallel import in_parallel


class Table:
    """`store` holds the target and its versions; `state_store` the staged and previous files."""

    def __init__(self, store: ObjectStore, state_store: ObjectStore, target: str) -> None:
        self.store = store
        self.state_store = state_store
        self.paths = TablePaths(key_of(target))

    def listing(self) -> pa.Table:
        """path (below the target), size and tag of every file under the target, in path order.

        Names that begin with "_" or "." are nobody's rows (markers, checksums) and not listed.
        """
        root = self.paths.target + "/"
        objects = list_objects(self.store, root)
        paths = pc.utf8_slice_codeunits(objects["key"], len(root))
        listed = pa.table({"path": paths, "size": objects["size"], "tag": objects["tag"]})
        return listed.filter(pc.invert(pc.match_substring_regex(paths, r"(^|/)[_.]|/$")))

    def newest(self) -> Version | None:
        keys = list_objects(self.store, self.paths.versions)["key"]
        return self._read(keys[-1].as_py()) if len(keys) else None

    def version(self, number: int) -> Version | None:
        return self._read(self.paths.version(number)) if self.has_version(number) else None

    def version_of(self, run_id: str, above: int) -> Version | None:
        """The version that this run made, if it did. `above`: the version that the plan saw."""
        keys = list_objects(self.store, self.paths.versions)["key"].to_pylist()
        later = [key for key in keys if key > self.paths.version(above)]
        return next((v for v in map(self._read, later) if v.run_id == run_id and not v.undoes), None)

    def versions_from(self, number: int) -> list[Version]:
        """This one and all newer ones, the oldest first."""
        keys = list_objects(self.store, self.paths.versions)["key"].to_pylist()
        return in_parallel(self._read, [key for key in keys if key >= self.paths.version(number)])

    def has_version(self, number: int) -> bool:
        """In one request: versions are numbered without a gap."""
        return self.store.head(self.paths.version(number)) is not None

    def commit(self, version: Version) -> bool:
        """Create the version under its number. False where somebody else has made one of that number."""
        data = json.dumps(version.to_json(), separators=(",", ":")).encode()
        key = self.paths.version(version.number)
        return self.store.put(key, data, create=True) is not None

    def is_noted_as_shown(self, number: int) -> bool:
        return self.store.head(self.paths.shown(number)) is not None

    def note_as_shown(self, number: int) -> None:
        """The paths were seen to show this version: what is missing from now on was removed by its owner."""
        self.store.put(self.paths.shown(number), b"{}", create=True)

    def shown(self, version: Version | None, listing: pa.Table) -> dict[str, TableFile]:
        """path -> file of the version, of the paths that hold it. One request for each file with a stamp
        whose tag is another: a copy of it may be the same."""
        if version is None:
            return {}
        there = {row["path"]: row["tag"] for row in listing.to_pylist()}
        files = [file for file in version.files if file.path in there]
        same = {file.path: file for file in files if file.tag == there[file.path]}
        others = [file for file in files if file.stamp and file.path not in same]
        copies = in_parallel(self._holds, others)
        return same | {file.path: file for file, holds in zip(others, copies, strict=True) if holds}

    def _holds(self, file: TableFile) -> bool:
        info = self.store.head(self.paths.file(file.path))
        return info is not None and file.is_shown_by(info.tag, info.size, info.stamp)

    def _read(self, key: str) -> Version:
        content = json.loads(self.store.read(key).to_pybytes())
        if content.get("format") not in VERSION_FORMATS:
            raise IntegrityError(
                f"the version's format is {content.get('format')!r}, this raybackfill reads "
                f"{' and '.join(VERSION_FORMATS)}",
                where=key,
                next="use the version of raybackfill that wrote it",
            )
        return Version.from_json(content)


def without_empty_files(listing: pa.Table, shown: Mapping[str, TableFile]) -> pa.Table:
    """A listing without the empty files of ours: nobody's rows."""
    empty = [path for path, file in shown.items() if file.is_empty]
    return listing.filter(pc.invert(pc.is_in(listing["path"], pa.array(empty, pa.string()))))
