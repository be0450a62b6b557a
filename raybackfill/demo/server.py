"""Starts and stops an S3 server on loopback, for the demo and the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO
from urllib.request import ProxyHandler, build_opener

from raybackfill.errors import SpecError, TransientError

APPLICATION = Path(__file__).with_name("moto_app.py")
"""Run by its path and in its own process: moto is an extra, and this module must import without it."""

REQUESTS_PATH = "/_raybackfill/requests"
STOP_SECONDS = 5


class S3Server:
    """moto's S3 in a process of its own, on a free port that it chose itself.

    It keeps everything in its memory, and ends with `stop`, or with this process however that ends.
    Usable as a context manager.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.endpoint_url = ""

    def start(self) -> S3Server:
        """Start it and wait until it answers. SpecError where moto is not installed."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by stop)
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(APPLICATION), REQUESTS_PATH],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # moto looks up profiles of its own accord when it refuses something; whose they are is no
            # matter of a server on loopback.
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip().decode()
        if not port:
            raise self._failed()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self.requests()
        return self

    def stop(self) -> None:
        """End it, and forget all that it holds. Twice is no harm."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, self._log):
            if stream is not None:
                stream.close()

    def environment(self) -> dict[str, str]:
        """What the environment of a client needs: credentials that stand for none, and a region."""
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_SESSION_TOKEN": "testing",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def requests(self) -> dict[str, int]:
        """How many requests the server has seen, by kind: get, head, put, list, copy, delete."""
        # Loopback is never behind a proxy, whatever the environment says.
        with build_opener(ProxyHandler({})).open(self.endpoint_url + REQUESTS_PATH) as reply:
            return {kind: int(count) for kind, count in json.load(reply).items()}

    def __enter__(self) -> S3Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _failed(self) -> SpecError | TransientError:
        assert self._log is not None
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
        self.stop()
        if "ModuleNotFoundError" in said[-1]:
            return SpecError(
                f"the demo's S3 server cannot start ({said[-1]})", next="pip install 'raybackfill[demo]'"
            )
        return TransientError(f"the demo's S3 server did not start ({said[-1]})", next="try again")
