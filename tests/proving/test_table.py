"""The docs' table of checks and faults is the one that the tests show."""

from __future__ import annotations

from raybackfill.control.proving.checks import ALL
from tests.proving.faults import PUBLISHED, SLIPS, STAGED
from tests.proving.table import CHECKS, PAGE, table, with_table


def test_the_page_holds_the_table_that_the_tests_show() -> None:
    text = PAGE.read_text()
    assert table() in text, "write it: python -m tests.proving.table"
    assert with_table(text) == text


def test_every_check_finds_something_that_befalls_a_run() -> None:
    caught = set().union(*(fault.caught for fault in (*STAGED, *PUBLISHED, *SLIPS)))
    assert caught == set(CHECKS)


def test_every_check_is_told_of() -> None:
    text = PAGE.read_text()
    assert [check.name for check in ALL if f"`{check.name}`" not in text] == []
