"""A table: its numbered versions, and the paths under the target as a view of the newest one."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.errors import IntegrityError
from raybackfill.model import TableFile, Version
from raybackfill.paths import RunPaths, TablePaths, key_of
from raybackfill.storage import ObjectStore
from raybackfill.storage.listing import list_objects
from raybackfill.storage.parallel import in_parallel
from raybackfill.storage.transfer import copy_object


class Table:
    """`store` holds the target and its versions; `state_store` the staged and previous files."""

    def __init__(self, store: ObjectStore, state_store: ObjectStore, target: str) -> None:
        self._store = store
        self._state_store = state_store
        self._paths = TablePaths(key_of(target))

    def listing(self) -> pa.Table:
        """path (below the target), size and tag of every file under the target, in path order.

        Names that begin with "_" or "." are nobody's rows (markers, checksums) and not listed.
        """
        root = self._paths.target + "/"
        objects = list_objects(self._store, root)
        paths = pc.utf8_slice_codeunits(objects["key"], len(root))
        listed = pa.table({"path": paths, "size": objects["size"], "tag": objects["tag"]})
        return listed.filter(pc.invert(pc.match_substring_regex(paths, r"(^|/)[_.]|/$")))

    def newest(self) -> Version | None:
        keys = list_objects(self._store, self._paths.versions)["key"]
        return self._read(keys[-1].as_py()) if len(keys) else None

    def version(self, number: int) -> Version | None:
        key = self._paths.version(number)
        return None if self._store.head(key) is None else self._read(key)

    def version_of(self, run_id: str, above: int) -> Version | None:
        """The version that this run made, if it did. `above`: the version that the plan saw."""
        keys = list_objects(self._store, self._paths.versions)["key"].to_pylist()
        later = [key for key in keys if key > self._paths.version(above)]
        return next((v for v in map(self._read, later) if v.run_id == run_id), None)

    def commit(self, version: Version) -> bool:
        """Create the version under its number. False where somebody else has made one of that number."""
        data = json.dumps(version.to_json(), separators=(",", ":")).encode()
        key = self._paths.version(version.number)
        return self._store.put(key, data, create=True) is not None

    def unfinished(self, version: Version) -> list[str]:
        """The paths that a publish of this version has yet to bring: they are missing, or still show
        what it replaces. A path with any other tag was changed since, which is its owner's right."""
        present = {row["path"]: row["tag"] for row in self.listing().to_pylist()}
        before = {file.path: file.tag for file in version.retired}
        wanted = {file.path: file for file in version.files if file.staged}
        waiting = [p for p, f in wanted.items() if present.get(p, before.get(p)) == before.get(p) != f.tag]
        return sorted(waiting + [p for p, tag in before.items() if p not in wanted and present.get(p) == tag])

    def bring_view(self, version: Version) -> None:
        """Make the paths show the version: safe to repeat, whole or in part, after any crash.

        A path that holds neither what the version retires nor what it wants is somebody else's:
        IntegrityError, and it is left as it is. What is replaced is kept first.
        """
        present = {row["path"]: row["tag"] for row in self.listing().to_pylist()}
        before = {file.path: file for file in version.retired}
        new = [file for file in version.files if file.staged]
        wanted = {file.path for file in new}
        in_parallel(lambda file: self._bring(version, file, present, before.get(file.path)), new)
        surplus = [file for file in version.retired if file.path not in wanted]
        in_parallel(lambda file: self._retire(version, file, present), surplus)

    def differences(self, version: Version) -> list[str]:
        """The paths that do not show what the version says: gone, other, or not of it."""
        present = {row["path"]: row["tag"] for row in self.listing().to_pylist()}
        wanted = {file.path: file for file in version.files}
        other = [path for path, file in wanted.items() if not self._shows(file, present.get(path))]
        surplus = [file.path for file in version.retired if file.path in present and file.path not in wanted]
        return sorted(other + surplus)

    def _bring(
        self, version: Version, file: TableFile, present: dict[str, str], old: TableFile | None
    ) -> None:
        """Fill the path. Another driver of this run, which was taken over and does not know it yet, may do
        the same at the same time: what it brought is as good."""
        try:
            self._fill(version, file, present, old)
        except IntegrityError:
            there = self._store.head(self._paths.file(file.path))
            if there is None or not self._shows(file, there.tag):
                raise

    def _fill(
        self, version: Version, file: TableFile, present: dict[str, str], old: TableFile | None
    ) -> None:
        tag = present.get(file.path)
        if self._shows(file, tag):
            return
        if tag is not None:
            if old is None or tag != old.tag:
                raise self._foreign(file.path)
            self._keep(version, old)
        staged = self._state_store.head(file.staged)
        if staged is None or staged.tag != file.tag:
            raise IntegrityError(
                "a staged file of this version is gone or changed",
                where=file.staged,
                next="run the backfill again: raybackfill run CONFIG --new",
            )
        copy_object(self._state_store, staged, self._store, self._paths.file(file.path))

    def _retire(self, version: Version, file: TableFile, present: dict[str, str]) -> None:
        tag = present.get(file.path)
        if tag is None:
            return
        if tag != file.tag:
            raise self._foreign(file.path)
        try:
            self._keep(version, file)
        except IntegrityError:
            if self._store.head(self._paths.file(file.path)) is not None:
                raise
            return
        self._store.delete(self._paths.file(file.path))

    def _keep(self, version: Version, file: TableFile) -> None:
        """Keep a file before it is replaced. Made once: a replay finds its own copy and leaves it."""
        key = RunPaths.of_root(version.run_root).previous(version.number, file.path)
        source = self._store.head(self._paths.file(file.path))
        if source is None or source.tag != file.tag:
            raise self._foreign(file.path)
        copy_object(self._store, source, self._state_store, key, create=True)

    def _shows(self, file: TableFile, tag: str | None) -> bool:
        if tag is None or tag == file.tag:
            return tag is not None
        if not file.stamp:
            return False
        info = self._store.head(self._paths.file(file.path))
        return info is not None and info.stamp == file.stamp and info.size == file.size

    def _foreign(self, path: str) -> IntegrityError:
        return IntegrityError(
            "a file of the table was changed by somebody else while it was being published",
            where=self._paths.file(path),
            next="it was left as it is; find out who writes there, then: raybackfill resume RUN",
        )

    def _read(self, key: str) -> Version:
        content = json.loads(self._store.read(key).to_pybytes())
        if content.get("format") != "version/1":
            raise IntegrityError(
                f"the version's format is {content.get('format')!r}, this raybackfill reads version/1",
                where=key,
                next="use the version of raybackfill that wrote it",
            )
        return Version.from_json(content)
