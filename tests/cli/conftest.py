"""A project whose folder is the current one, as after `cd`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_input.project import CONFIG, Project
from tests.cli.gates import NAME, Gated, gated_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYBACKFILL_STATE", raising=False)
    made = Project(tmp_path)
    made.text(NAME, CONFIG)
    return made


@pytest.fixture
def gated(project: Project) -> Iterator[Gated]:
    with gated_project(project) as made:
        yield made
