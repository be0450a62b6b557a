"""Shows a version to pyarrow: a filesystem in which its paths are its files, and a Dataset over it."""

from __future__ import annotations

from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from raybackfill.model import TableFile
from raybackfill.table.snapshot import Snapshot


def dataset_of(snapshot: Snapshot) -> ds.Dataset:
    """Its schema is that of all: one file of each version that brought some is looked into."""
    files = {file.path: file for file in snapshot.version.with_rows}
    if not files:
        return ds.dataset(pa.table({}))
    examples = {file.since: file for file in reversed(snapshot.version.with_rows)}
    schemas = [pq.read_schema(snapshot.open(file)).remove_metadata() for file in examples.values()]
    of_files = pa.unify_schemas(schemas, promote_options="permissive")
    names = [name for name in _folder_columns(min(files)) if name not in of_files.names]
    folders = pa.schema([pa.field(name, pa.string()) for name in names])
    return ds.dataset(
        sorted(files),
        schema=pa.schema([*of_files, *folders]),
        filesystem=fs.PyFileSystem(VersionFiles(snapshot, files)),
        format="parquet",
        partitioning=ds.partitioning(folders, flavor="hive") if names else None,
    )


def _folder_columns(path: str) -> list[str]:
    """The columns that folders name ("dt=2025-01-01"), in their order."""
    return [segment.partition("=")[0] for segment in path.split("/")[:-1] if "=" in segment]


class VersionFiles(fs.FileSystemHandler):  # type: ignore[misc]
    """Read-only: the files of a version under their paths, each opened where its bytes lie."""

    def __init__(self, snapshot: Snapshot, files: dict[str, TableFile]) -> None:
        self._snapshot = snapshot
        self._files = files

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionFiles) and other._snapshot is self._snapshot

    def __hash__(self) -> int:
        return id(self._snapshot)

    def get_type_name(self) -> str:
        return "raybackfill"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        inside = selector.base_dir.rstrip("/") + "/" if selector.base_dir else ""
        return [self._info(path) for path in self._files if path.startswith(inside)]

    def _info(self, path: str) -> fs.FileInfo:
        file = self._files.get(path)
        if file is None:
            return fs.FileInfo(path, fs.FileType.NotFound)
        return fs.FileInfo(path, fs.FileType.File, size=file.size)

    def open_input_file(self, path: str) -> pa.NativeFile:
        if path not in self._files:
            raise FileNotFoundError(path)
        return self._snapshot.open(self._files[path])

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self.open_input_file(path)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise OSError("a version is never changed")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _refuse
    move = copy_file = open_output_stream = open_append_stream = _refuse
