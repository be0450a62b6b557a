"""Names of keys and partition values that would lead out of the target, or cannot be read back."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from raybackfill.storage.memory import MemoryStore
from tests.bad_input.project import Project, explained
from tests.stores import backfill, rows_of, this_process, write_parquet

BY_NAME = """
name: names
source: {uri: raw}
target: {uri: gold, partition_by: [name]}
"""
VALUES = [
    "../x", "a/b", "..", ".", "100%", "%2F", "a=b", "a:b", "a\\b", " x ", "x" * 100, "C:\\", "\n", "\x00q",
    "_a", "{x}", "*", "#?", '"', "'", "a.b", "ünï", "u\u0308", "雪", "\U0001f600", "null", "NULL", None,
]  # fmt: skip


def files_below(root: Path) -> list[str]:
    return sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())


def test_partition_values_are_folders_of_the_target_and_read_back_equal(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", days=()) if (tmp_path / "project").mkdir() is None else None
    assert project is not None
    project.write("raw/rows.parquet", pa.table({"name": VALUES, "n": range(len(VALUES))}))
    outside = [name for name in files_below(tmp_path) if "/gold/" not in name]
    assert project.run(BY_NAME).exit_code == 0
    now = [name for name in files_below(tmp_path) if "/gold/" not in name and "/_raybackfill/" not in name]
    assert sorted(set(now) - set(outside)) == ["project/configs/orders.yaml"]
    folders = sorted(project.table())
    assert len(folders) == len(VALUES)
    assert all(folder.count("/") == 0 and folder.startswith("name=") for folder in folders)
    # Another reader, and our own, say what went in.
    schema = pa.schema([("name", pa.string())])
    hive = ds.dataset(project.gold, partitioning=ds.partitioning(schema, flavor="hive")).to_table()
    assert dict(zip(hive["n"].to_pylist(), hive["name"].to_pylist(), strict=True)) == dict(enumerate(VALUES))
    before = project.table()
    again = BY_NAME.replace("name: names", "name: again").replace("uri: raw}", 'uri: gold, path: "name=*/*"}')
    assert project.run(again).exit_code == 0
    assert project.table() == before


@pytest.mark.parametrize("value", ["", "__HIVE_DEFAULT_PARTITION__"])
def test_a_value_that_would_be_read_back_as_null_is_refused(project: Project, value: str) -> None:
    project.write("raw/dt=2025-01-02/orders.parquet", pa.table({"name": ["ok", value], "n": [1, 2]}))
    error = project.refused(BY_NAME.replace("uri: raw}", 'uri: raw, path: "dt=2025-01-02/*"}'))
    explained(error, "UnitError", 3, "target.partition_by", repr(value), "read back as null", "write null")


def test_a_value_too_long_for_a_folder_is_refused_before_anything_is_published(project: Project) -> None:
    project.write("raw/dt=2025-01-02/orders.parquet", pa.table({"name": ["ok", "x" * 300], "n": [1, 2]}))
    error = project.refused(BY_NAME.replace("uri: raw}", 'uri: raw, path: "dt=2025-01-02/*"}'))
    explained(error, "UnitError", 3, "name=xxx", "305 bytes", "takes 255", "shorter values")


def test_a_long_value_is_no_trouble_where_names_have_no_limit() -> None:
    store = MemoryStore()
    write_parquet(store, "/lake/raw/rows.parquet", pa.table({"name": ["é" * 300], "n": [1]}))
    config = BY_NAME.replace("uri: raw", "uri: /lake/raw").replace("uri: gold", "uri: /lake/gold")
    with this_process(store):
        assert backfill(config).run(engine="inline").exit_code == 0
    assert rows_of(store, "/lake/gold/") == {f"name={'é' * 300}/part-00000.parquet": [{"n": 1}]}


@pytest.mark.parametrize("folder", ["dt=..%2F..%2Fout", "dt=%2Fetc", "dt=..", "dt=a%2F..%2F..%2Fb"])
def test_a_key_that_says_dot_dot_writes_below_the_target_only(tmp_path: Path, folder: str) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    project = Project(tmp_path / "deep" / "er", days=())
    project.write(f"raw/{folder}/rows.parquet", pa.table({"n": [1]}))
    config = BY_NAME.replace("uri: raw}", 'uri: raw, path: "dt=*/*"}').replace("[name]", "[dt]")
    assert project.run(config).exit_code == 0
    assert [row for rows in project.table().values() for row in rows] == [{"n": 1}]
    roots = (
        "deep/er/raw/",
        "deep/er/gold/",
        "deep/er/_raybackfill/",
        "deep/er/configs/",
        "deep/er/pyproject",
    )
    assert [name for name in files_below(tmp_path) if not name.startswith(roots)] == []


@pytest.mark.parametrize("key", ["/lake/raw/dt=../../out/rows.parquet", "/lake/raw/../up/rows.parquet"])
def test_an_object_store_key_with_dot_dot_segments_reaches_nothing_else(key: str) -> None:
    """Object stores take such keys as they are; the hive value is `..`, and the rest does not fit."""
    store = MemoryStore()
    write_parquet(store, key, pa.table({"n": [1]}))
    write_parquet(store, "/lake/raw/dt=a/rows.parquet", pa.table({"n": [2]}))
    config = BY_NAME.replace("uri: raw}", 'uri: /lake/raw, path: "dt=*/*"}').replace("gold", "/lake/gold")
    with this_process(store):
        asked = backfill(config.replace("[name]", "[dt]"))
        assert asked.plan().summary["source"]["objects"] == 1
        assert asked.run(engine="inline").exit_code == 0
    written = [key for key in store.page("/").objects["key"].to_pylist() if "_raybackfill" not in key]
    assert [key for key in written if "/raw/" not in key] == ["/lake/gold/dt=a/part-00000.parquet"]
