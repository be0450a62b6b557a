"""The demo's S3 server starts, keeps conditions, and ends with whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raybackfill.demo import server as demo_server
from raybackfill.demo.server import S3Server
from raybackfill.errors import SpecError, TransientError

REPOSITORY = Path(__file__).parents[2]


def until(condition: Callable[[], bool]) -> bool:
    """Whether it comes true before long; the limit only ends a test that fails."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def runs(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_two_servers_have_ports_of_their_own_and_leave_the_environment_alone(s3_server: S3Server) -> None:
    before = dict(os.environ)
    with S3Server() as second:
        assert second.endpoint_url != s3_server.endpoint_url
        assert second.requests() == {}
        assert second._process is not None
        process_id = second._process.pid
    assert dict(os.environ) == before
    assert not runs(process_id)
    second.stop()


def test_it_ends_with_its_parent(s3_server: S3Server) -> None:
    script = textwrap.dedent(
        """
        import os, signal
        from raybackfill.demo.server import S3Server
        server = S3Server().start()
        print(server._process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE)
    process_id = int(ended.stdout)
    assert ended.returncode < 0
    assert until(lambda: not runs(process_id))


@pytest.mark.parametrize(
    ("program", "error", "says"),
    [
        ("import moto_is_not_here", SpecError, "pip install"),
        ("raise SystemExit('no luck')", TransientError, "no luck"),
    ],
)
def test_a_server_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, error: type[Exception], says: str
) -> None:
    (tmp_path / "program.py").write_text(program)
    monkeypatch.setattr(demo_server, "APPLICATION", tmp_path / "program.py")
    with pytest.raises(error, match=says):
        S3Server().start()
