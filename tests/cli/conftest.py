"""A project whose folder is the current one, as after `cd`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.project import CONFIG, Project

NAME = "configs/orders.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYBACKFILL_STATE", raising=False)
    made = Project(tmp_path)
    made.text(NAME, CONFIG)
    return made
