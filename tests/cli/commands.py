"""Runs commands as a shell would: what they print, where, and their exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from raybackfill.cli import main

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Printed:
    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON object that stdout must be."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> dict[str, str]:
        """The error under --json, after a check of its shape."""
        document = self.document
        assert set(document) == {"error", "exit_code"}
        assert set(document["error"]) == {"kind", "message", "where", "next"}
        assert document["exit_code"] == self.exit_code
        return dict(document["error"])


def command(*words: str | Path, **environment: str) -> Printed:
    result = CliRunner().invoke(main, [str(word) for word in words], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Printed(result.exit_code, result.stdout, result.stderr)


def process(*words: str | Path, folder: Path) -> subprocess.Popen[str]:
    """The same in a process of its own, which can be sent signals."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "raybackfill", *map(str, words)],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What was started in the background ignores Ctrl-C, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
