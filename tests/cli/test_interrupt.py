"""Ctrl-C: the unit under way is finished, what is staged is kept, and resume goes on to the end."""

from __future__ import annotations

import json
import signal
import subprocess

from tests.cli.commands import command
from tests.cli.gates import NAME, RUN, WAIT_SECONDS, Gated, resumed, rows_of, started


def asked_to_stop(running: subprocess.Popen[str]) -> str:
    """What the process says on stderr when it has taken notice of the signal."""
    running.send_signal(signal.SIGINT)
    assert running.stderr is not None
    said = ""
    while "stopping after" not in said:
        line = running.stderr.readline()
        assert line, f"it ended without a word: {said}"
        said += line
    return said


def test_one_ctrl_c_finishes_the_unit_and_resume_goes_on(gated: Gated) -> None:
    with started(gated, *RUN, "--json") as running:
        with gated.until_working():
            said = asked_to_stop(running)
        out, _ = running.communicate(timeout=WAIT_SECONDS)
    assert "Ctrl-C again: at once" in said
    assert running.returncode == 3
    document = json.loads(out)
    assert document["exit_code"] == 3
    assert document["error"]["kind"] == "TransientError"
    assert "what is staged is kept" in document["error"]["message"]
    status = command("status", NAME, "--json").document
    assert document["error"]["next"] == f"raybackfill resume {status['run_uri']}"
    assert status["state"] == "stopped"
    counts = {"total": 2, "waiting": 1, "running": 0, "staged": 1, "published": 0, "failed": 0}
    assert status["units"] == {**counts, "set_aside": 0}
    assert rows_of(gated.project.gold) == {}
    ended = resumed(gated, status["run_uri"])
    assert (ended["state"], ended["run_id"], ended["attempts"]) == ("published", status["run_id"], 2)
    assert rows_of(gated.project.gold) == {"dt=2025-01-01": 40_000, "dt=2025-01-02": 40_000}


def test_a_second_ctrl_c_stops_at_once_and_loses_the_unit_under_way_only(gated: Gated) -> None:
    with started(gated, *RUN) as running:
        gated.until_working().close()
        with gated.until_working():
            asked_to_stop(running)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 3
    assert "stopped at once: what is staged is kept" in err
    assert f"raybackfill resume {NAME}" in err
    assert "Traceback" not in err
    assert rows_of(gated.project.gold) == {}
    status = command("status", NAME, "--json").document
    assert status["units"]["staged"] == 1
    ended = resumed(gated, NAME)
    assert (ended["state"], ended["run_id"]) == ("published", status["run_id"])
    assert rows_of(gated.project.gold) == {"dt=2025-01-01": 40_000, "dt=2025-01-02": 40_000}


def test_ctrl_c_before_the_run_has_begun_leaves_nothing_to_resume(gated: Gated) -> None:
    gated.job(0)
    with started(gated, "plan", NAME, "--json") as running, gated.until_working():
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 3
    assert json.loads(out)["error"]["message"] == "stopped"
    assert "Traceback" not in err
    assert command("list", NAME, "--json").document["runs"] == []
