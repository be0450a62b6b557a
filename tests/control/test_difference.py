"""In what two plans differ, and how that is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from raybackfill.control.planning.identity.difference import (
    Difference,
    Names,
    changes,
    difference_of_plans,
    difference_of_requests,
    pinned_objects,
)
from raybackfill.control.planning.identity.words import difference_document, in_words
from raybackfill.control.planning.plan import TARGET_FILES, LookupTable, Plan, Recipe, units_table
from raybackfill.model import Piece, Unit
from raybackfill.spec import BackfillSpec, read_spec

CONFIG = """
name: orders
source: {uri: /lake/raw, path: "dt={dt:%Y-%m-%d}/*"}
scope: {start: 2025-01-01, end: 2025-02-01}
transform: {python: "jobs.orders:job", version: "2"}
target: {uri: /lake/gold, partition_by: [dt]}
"""
ROWS = pa.schema([("id", pa.int64()), ("dt", pa.date32())])
MODULES = {"jobs/orders.py": "1", "jobs/tax.py": "1"}


def spec_of(config: str) -> BackfillSpec:
    return read_spec(config, where="test.yaml", root="/project", read_file=lambda name: "")


def piece(name: str, tag: str = "t", row_groups: tuple[int, ...] | None = None) -> Piece:
    return Piece(f"/lake/raw/{name}", 10, tag, row_groups, 5, 10)


def plan(
    *pieces: Piece,
    config: str = CONFIG,
    rows: pa.Schema = ROWS,
    files: list[tuple[str, str]] | None = None,
    base_version: int = 3,
    as_of: str = "2025-02-01T00:00:00Z",
    tables: dict[str, LookupTable] | None = None,
) -> Plan:
    recipe = Recipe(spec_of(config), "parquet", rows, rows, rows, "dt", as_of, "ref", "print", tables or {})
    units = units_table([Unit(f"u{at}", at, "work", (one,)) for at, one in enumerate(pieces)])
    pinned = [{"path": p, "size": 1, "tag": t, "folder": "", "scope": "inside"} for p, t in files or []]
    return Plan("id", recipe, base_version, units, pa.Table.from_pylist(pinned, TARGET_FILES), {})


def said(before: Plan, after: Plan, modules: dict[str, str] = MODULES) -> str:
    return in_words(difference_of_plans(before, MODULES, after, modules), "/lake/raw/")


def test_the_same_plan_has_no_difference() -> None:
    found = difference_of_plans(plan(piece("a")), MODULES, plan(piece("a")), dict(MODULES))
    assert not found
    assert found == Difference()
    assert in_words(found) == ""


def test_a_line_that_says_all() -> None:
    before = plan(*(piece(name) for name in "abcdefg"))
    after = plan(*(piece(name, "new") for name in "abcd"), *(piece(name) for name in "fghi"),
                 config=CONFIG.replace('"2"', '"3"'))  # fmt: skip
    assert said(before, after, {**MODULES, "jobs/orders.py": "2"}) == (
        "transform.version 2 -> 3; the job's code: jobs/orders.py; "
        "4 source objects changed: a, b, c and 1 more; 2 new: h, i; 1 gone: e"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config": CONFIG.replace("2025-02-01", "2025-03-01")}, "scope.end 2025-02-01 -> 2025-03-01"),
        ({"config": CONFIG + "order: newest_first"}, "order oldest_first -> newest_first"),
        ({"config": CONFIG.replace(', version: "2"', "")}, "transform.version 2 -> "),
        ({"config": CONFIG + "timezone: Europe/Berlin"}, "timezone UTC -> Europe/Berlin"),
        ({"base_version": 4}, "the table's version 3 -> 4"),
        ({"as_of": "2025-03-01T00:00:00Z"}, "the as-of time 2025-02-01T00:00:00Z -> 2025-03-01T00:00:00Z"),
        ({"files": [("dt=1/a", "x")]}, "1 file of the target new: dt=1/a"),
        ({"rows": ROWS.append(pa.field("shop", pa.string()))}, "column source.shop unset -> string"),
        ({"rows": ROWS.set(0, pa.field("id", pa.string()))}, "column target.id int64 -> string"),
    ],
)
def test_each_part_of_a_plan_is_told_apart(options: dict[str, Any], words: str) -> None:
    assert words in said(plan(piece("a")), plan(piece("a"), **options))


def test_modules_that_are_new_or_gone_are_named() -> None:
    now = {"jobs/orders.py": "1", "jobs/rates.py": "1"}
    assert said(plan(piece("a")), plan(piece("a")), now) == (
        "the job's code: jobs/rates.py new, jobs/tax.py gone"
    )


def test_a_request_is_compared_without_its_data() -> None:
    recipe = plan(piece("a")).recipe
    query = f'sql: "select {"x" * 100} from input"'
    longer = spec_of(CONFIG.replace('python: "jobs.orders:job"', query))
    found = difference_of_requests(recipe, {}, longer, {})
    assert [value.name for value in found.spec] == ["transform.python", "transform.sql"]
    assert "transform.sql unset -> select xxx" in in_words(found)
    assert len(in_words(found)) < 200


def test_an_object_is_pinned_once_however_many_units_read_it() -> None:
    table = LookupTable("csv", (replace(piece("n"), key="/lake/names"),), ROWS)
    found = pinned_objects(plan(piece("b", row_groups=(0,)), piece("b", row_groups=(1,)), piece("a"),
                                tables={"names": table}))  # fmt: skip
    assert found["key"].to_pylist() == ["/lake/names", "/lake/raw/a", "/lake/raw/b"]
    assert pinned_objects(plan()).num_rows == 0


def test_a_size_alone_is_a_change() -> None:
    before = pa.table({"key": ["a", "b"], "size": [1, 2], "tag": ["x", "y"]})
    after = pa.table({"key": ["b", "a"], "size": [2, 3], "tag": ["y", "x"]})
    assert changes(before, after, "key").changed == Names(1, ("a",))


def test_many_are_counted_and_few_are_named() -> None:
    count = 100_000
    numbers = [f"{at:06d}" for at in range(2 * count)]
    before = pa.table({"key": numbers[:count], "size": [1] * count, "tag": ["x"] * count})
    after = pa.table({"key": numbers[count // 2 :][:count], "size": [1] * count, "tag": ["x"] * count})
    found = changes(before, after, "key")
    assert found.new == Names(count // 2, tuple(numbers[count : count + 3]))
    assert found.gone == Names(count // 2, tuple(numbers[:3]))


def test_the_document_has_every_part_whether_it_differs_or_not() -> None:
    nothing = {"count": 0, "examples": []}
    same = difference_document(Difference())
    assert same == {
        "spec": [],
        "code": {"changed": nothing, "new": nothing, "gone": nothing},
        "columns": [],
        "inputs": {"changed": nothing, "new": nothing, "gone": nothing},
        "target": {"changed": nothing, "new": nothing, "gone": nothing, "base_version": None},
        "as_of": None,
    }
    found = difference_of_plans(plan(piece("a")), MODULES, plan(piece("a", "new"), base_version=4), MODULES)
    document = difference_document(found)
    assert document["inputs"]["changed"] == {"count": 1, "examples": ["/lake/raw/a"]}
    assert document["target"]["base_version"] == {"before": 3, "after": 4}
