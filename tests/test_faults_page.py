"""The page of faults says what is shown: each row that claims to catch something names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "faults.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| fault")
]


def test_the_page_has_its_table() -> None:
    assert len(ROWS) > 20
    assert {len(row) for row in ROWS} == {4}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_what_is_claimed_is_shown_by_tests(row: list[str]) -> None:
    fault, verdict, how, shown_by = row
    assert verdict in ("yes", "sometimes", "no"), fault
    named = re.findall(r"`(tests/[a-z0-9_/]+\.py)(?:::(\w+))?`", shown_by)
    assert bool(named) == (verdict != "no"), "what is caught is shown by a test, and what is not cannot be"
    assert how or verdict == "no"
    for path, function in named:
        text = (ROOT / path).read_text()
        assert f"def {function or 'test_'}" in text, f"{path} has no test {function}"
