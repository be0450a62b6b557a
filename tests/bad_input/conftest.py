"""A project with three days of orders, which nothing was made of yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
