"""What becomes of a path on the way to a version, and what a version is made over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raybackfill.control.proving.composition import compose
from raybackfill.control.proving.slots import Content, Slot, Step, came_back, next_step, not_shown, slots
from raybackfill.model import TableFile, Version
from tests.control.test_composition import A, B, listed, paths, pinned, staged

OLD = TableFile("p", 5, "old")
NEW = TableFile("p", 9, "new", 3, "attempt", "run/staged", 2)
EMPTY = TableFile("p", 2, "empty", 0, "run.2.1", "run/empty", 2)


def version(number: int, files: tuple[TableFile, ...], retired: tuple[TableFile, ...] = ()) -> Version:
    return Version(number, "run", "/s/n/runs/run", "plan", 1, "t", files, retired)


@pytest.mark.parametrize(
    ("wanted", "before", "there", "step"),
    [
        (NEW, OLD, Content("old", 5), Step.REPLACE),
        (NEW, OLD, Content("new", 9), Step.NOTHING),
        (NEW, OLD, Content("copied", 9, "attempt"), Step.NOTHING),
        (NEW, OLD, Content("copied", 8, "attempt"), Step.LEAVE),
        (NEW, OLD, Content("other", 5), Step.LEAVE),
        (NEW, None, Content("other", 5), Step.LEAVE),
        (NEW, None, None, Step.CREATE),
        (NEW, EMPTY, None, Step.CREATE),
        (EMPTY, OLD, Content("old", 5), Step.REPLACE),
        (EMPTY, OLD, Content("other", 5), Step.LEAVE),
        (EMPTY, OLD, None, Step.NOTHING),
        (None, OLD, Content("old", 5), Step.REMOVE),
        (None, OLD, Content("other", 5), Step.LEAVE),
        (None, OLD, None, Step.NOTHING),
    ],
)
def test_what_is_pinned_is_replaced_and_nothing_else(
    wanted: TableFile | None, before: TableFile | None, there: Content | None, step: Step
) -> None:
    assert next_step(Slot("p", wanted, before), there) is step


def test_a_version_changes_what_it_brings_and_what_it_retires() -> None:
    carried = TableFile("kept", 1, "t", since=1)
    found = slots(version(2, (NEW, carried), (OLD, TableFile("gone", 1, "g"))))
    assert [(slot.path, slot.wanted, slot.before and slot.before.tag) for slot in found] == [
        ("gone", None, "g"),
        ("p", NEW, "old"),
    ]


def test_a_file_of_an_older_version_is_known_and_its_owners_is_not() -> None:
    older = version(1, (TableFile("p", 4, "first", 2, "a1", "s", 1), TableFile("q", 1, "own")))
    assert came_back({"p": Content("first", 4)}, older) == {"p"}
    assert came_back({"p": Content("copied", 4, "a1")}, older) == {"p"}
    assert came_back({"p": Content("other", 4), "x": Content("first", 4)}, older) == set()
    # What lay there before any version is its owner's, who may put it back.
    assert came_back({"q": Content("own", 1)}, older) == set()


def test_what_does_not_show_a_version() -> None:
    now = version(2, (NEW, replace(EMPTY, path="e"), replace(NEW, path="missing")))
    there = {"p": Content("new", 9), "stranger": Content("s", 1)}
    assert not_shown(now, there, {"p": NEW}) == ["missing", "stranger"]
    assert not_shown(now, there, {}) == ["missing", "p", "stranger"]


def test_paths_left_without_rows_get_an_empty_file_which_the_next_version_may_fill() -> None:
    old = ((f"{A}/part-00000.parquet", "t0"), (f"{A}/part-00001.parquet", "t1"))
    first = compose({"a": [staged(A, "u")]}, listed(*old), pinned(*old), on_empty="error", number=1)
    assert first.surplus == (f"{A}/part-00001.parquet",)
    files = first.files_with(TableFile("", 7, "e1", 0, "run.1.1", "run/empty", 1))
    assert [(file.path, file.rows, file.since) for file in files] == [
        (f"{A}/part-00000.parquet", 5, 1),
        (f"{A}/part-00001.parquet", 0, 1),
    ]
    shown = {file.path: file for file in files}
    now = ((f"{A}/part-00000.parquet", "tag-u"), (f"{A}/part-00001.parquet", "e1"))
    again = compose(
        {"b": [staged(A, "v"), staged(A, "w")]},
        listed(*now),
        pinned(now[0]),
        on_empty="error",
        number=2,
        shown=shown,
    )
    assert not again.refused_by, "an empty file is nobody's change"
    assert paths(again) == [now[0][0], now[1][0]] and again.surplus == ()
    assert [(file.tag, file.is_empty) for file in again.retired] == [("tag-u", False), ("e1", True)]


def test_what_is_carried_keeps_what_is_known_of_it() -> None:
    kept, empty = (
        TableFile(f"{B}/x.parquet", 1, "tx", 7, "a", "s", 1),
        TableFile(f"{B}/y.parquet", 1, "ty", 0, "r", "e", 1),
    )
    found = compose(
        {"b": [staged(A, "v")]},
        listed((kept.path, "tx"), (empty.path, "ty"), (f"{B}/z.parquet", "tz")),
        pinned(),
        on_empty="error",
        number=2,
        shown={kept.path: kept, empty.path: empty},
    )
    assert found.files[1:] == (kept, empty, TableFile(f"{B}/z.parquet", 1, "tz"))
