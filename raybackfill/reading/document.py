"""Decides what is said of a version's files: the document behind `files --json`."""

from __future__ import annotations

from typing import Any

from raybackfill.model import TableFile
from raybackfill.paths import uri_of
from raybackfill.table.snapshot import Snapshot

FORMAT = "files/1"


def files_document(uri: str, snapshot: Snapshot) -> dict[str, Any]:
    version = snapshot.version
    where = snapshot.where()
    found = [
        _file(file, uri_of(where[file.path][0].scheme, where[file.path][1])) for file in version.with_rows
    ]
    counts = [file["rows"] for file in found]
    return {
        "format": FORMAT,
        "table": {"uri": uri, "version": version.number, "run_id": version.run_id, "at": version.at},
        "files": found,
        "bytes": sum(file["size"] for file in found),
        "rows": None if None in counts else sum(counts),
    }


def _file(file: TableFile, uri: str) -> dict[str, Any]:
    """`uri` is where its bytes lie now: at its path, or elsewhere while a publish is under way."""
    return {
        "path": file.path,
        "uri": uri,
        "size": file.size,
        "rows": file.rows if file.rows >= 0 else None,
        "tag": file.tag,
        "since": file.since,
    }
