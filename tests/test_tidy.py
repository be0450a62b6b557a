"""Style as a test: small files and functions, few files a folder, no grab-bag modules, no registry hosts."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE_LINES_MAX = 400
TEST_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
FOLDER_FILES_MAX = 17
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "managers"}


def tracked(pattern: str) -> list[Path]:
    """The files that are, or would be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).exists()]


PYTHON = tracked("*.py")


def test_there_is_something_to_check() -> None:
    assert len(PYTHON) > 100


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_small_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    most = TEST_LINES_MAX if path.is_relative_to(ROOT / "tests") else FILE_LINES_MAX
    assert text.count("\n") <= most
    assert path.stem not in VAGUE
    if path.name != "__init__.py":
        assert ast.get_docstring(ast.parse(text)), "the first line says what the module decides or moves"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, node.name


def test_functions_are_short_as_a_rule() -> None:
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in PYTHON
        if path.is_relative_to(ROOT / "raybackfill")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    )
    assert lengths[len(lengths) // 2] <= 12


def test_folders_are_small() -> None:
    counts = Counter(path.parent for path in PYTHON if path.is_relative_to(ROOT / "raybackfill"))
    assert {str(folder): count for folder, count in counts.items() if count > FOLDER_FILES_MAX} == {}


def test_driver_is_short() -> None:
    assert (ROOT / "raybackfill" / "driver.py").read_text().count("\n") <= 160


def test_no_registry_host_is_committed() -> None:
    hosts = re.compile(r"https?://[^\s\"']*(pypi|pythonhosted|debian\.org|npmjs)", re.IGNORECASE)
    found = [
        path for path in tracked("*") if path.is_file() and hosts.search(path.read_text(errors="ignore"))
    ]
    assert [path for path in found if path != Path(__file__)] == []
