"""What the next version holds, and when a publish is refused."""

from __future__ import annotations

import pyarrow as pa

from raybackfill.control.planning.plan import TARGET_FILES
from raybackfill.control.proving.composition import Composition, compose
from raybackfill.model import StagedFile

A, B, C = "dt=2025-01-01", "dt=2025-01-02", "dt=2025-01-03"


def listed(*files: tuple[str, str]) -> pa.Table:
    return pa.table({"path": [f[0] for f in files], "size": [1] * len(files), "tag": [f[1] for f in files]})


def pinned(*files: tuple[str, str]) -> pa.Table:
    rows = [
        {"path": path, "size": 1, "tag": tag, "folder": path.rpartition("/")[0], "scope": "inside"}
        for path, tag in files
    ]
    return pa.Table.from_pylist(rows, TARGET_FILES)


def staged(folder: str, key: str) -> StagedFile:
    return StagedFile(key, folder, 5, 10, f"tag-{key}")


def paths(composition: Composition) -> list[str]:
    return [file.path for file in composition.files]


def test_slots_are_numbered_in_the_order_of_units() -> None:
    found = compose(
        {
            "attempt2": [staged(A, "u1-0")],
            "attempt1": [staged(A, "u2-0"), staged(A, "u2-1"), staged(B, "u2-2")],
        },
        listed(),
        pinned(),
        on_empty="error",
    )
    assert [(file.path, file.staged, file.stamp) for file in found.files] == [
        (f"{A}/part-00000.parquet", "u1-0", "attempt2"),
        (f"{A}/part-00001.parquet", "u2-0", "attempt1"),
        (f"{A}/part-00002.parquet", "u2-1", "attempt1"),
        (f"{B}/part-00000.parquet", "u2-2", "attempt1"),
    ]


def test_others_are_kept_and_what_is_replaced_is_retired() -> None:
    old = (f"{A}/old.parquet", "t1")
    found = compose(
        {"a": [staged(A, "new")]},
        listed(old, (f"{B}/part-00000.parquet", "t2")),
        pinned(old),
        on_empty="error",
    )
    assert paths(found) == [f"{A}/part-00000.parquet", f"{B}/part-00000.parquet"]
    assert [file.path for file in found.retired] == [old[0]]
    assert [file.staged for file in found.files] == ["new", ""]


def test_a_target_that_changed_since_the_plan_refuses() -> None:
    old = (f"{A}/part-00000.parquet", "t1")
    for now in (
        listed((old[0], "other")),
        listed(),
        listed(old, (f"{A}/new-by-somebody.parquet", "t9")),
    ):
        found = compose({"a": [staged(A, "new")]}, now, pinned(old), on_empty="error")
        assert found.refused_by == "target unchanged"
        assert f"{A}/" in found.reason
    elsewhere = listed(old, (f"{C}/new-by-somebody.parquet", "t9"))
    assert not compose({"a": [staged(A, "new")]}, elsewhere, pinned(old), on_empty="error").refused_by


def test_a_file_that_appeared_in_a_folder_that_is_new_refuses() -> None:
    found = compose(
        {"a": [staged(B, "new")]}, listed((f"{B}/live.parquet", "t9")), pinned(), on_empty="error"
    )
    assert found.refused_by == "target unchanged"


def test_a_partition_left_empty_is_refused_kept_or_removed() -> None:
    files = ((f"{A}/part-00000.parquet", "t1"), (f"{B}/part-00000.parquet", "t2"))
    given = {"a": [staged(A, "new")]}
    refused = compose(given, listed(*files), pinned(*files), on_empty="error")
    assert (refused.refused_by, B in refused.reason) == ("no partition left empty", True)
    kept = compose(given, listed(*files), pinned(*files), on_empty="keep")
    assert paths(kept) == [f"{A}/part-00000.parquet", f"{B}/part-00000.parquet"]
    assert [file.path for file in kept.retired] == [files[0][0]]
    removed = compose(given, listed(*files), pinned(*files), on_empty="remove")
    assert paths(removed) == [f"{A}/part-00000.parquet"]
    assert [file.path for file in removed.retired] == [files[0][0], files[1][0]]


def test_no_rows_at_all_are_refused_unless_that_is_wanted() -> None:
    refused = compose({}, listed(), pinned(), on_empty="error")
    assert (refused.refused_by, refused.reason) == ("some rows", "no unit gave a single row")
    assert compose({}, listed(), pinned(), on_empty="remove") == Composition()
