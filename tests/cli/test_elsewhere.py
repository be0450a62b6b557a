"""A run is resumed from its URI alone: from another folder, by another process, with the project gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from raybackfill.api import load
from raybackfill.demo.server import S3Server
from raybackfill.errors import TransientError
from raybackfill.spec.values import StorageSpec
from tests.cli.commands import process
from tests.engines.test_s3_run import values, write_project


def test_a_run_on_s3_is_resumed_on_another_machine(
    tmp_path: Path,
    s3_server: S3Server,
    s3_storage: StorageSpec,
    s3_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    asked = load(write_project(project, s3_storage.endpoint_url, s3_bucket))
    stopped: list[bool] = []
    with pytest.raises(TransientError, match="interrupted"):
        asked.run(engine="inline", stop_asked=lambda: bool(stopped) or bool(stopped.append(True)))
    run = asked.newest_run()
    assert run.status()["state"] == "stopped"
    shutil.rmtree(project)
    # A machine that knows the store as AWS tools do, and nothing of the project.
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(s3_storage.endpoint_url))
    monkeypatch.setenv("HOME", str(elsewhere))
    out, err = process("resume", run.uri, "--engine", "inline", "--json", folder=elsewhere).communicate()
    document = json.loads(out)
    assert document["state"] == "published", err
    assert document["run_id"] == run.id
    assert values(s3_storage, s3_bucket)["dt=2025-01-03"] == [31] * 50
