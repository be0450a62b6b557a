"""One driver a run, and one live run a backfill: who comes second is refused, or takes over and says so."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Any

from raybackfill.control.running.liveness import GONE_SECONDS, Sign, is_live
from tests.cli.commands import command
from tests.cli.gates import NAME, RUN, WAIT_SECONDS, Gated, resumed, rows_of, started

WHOLE = {"dt=2025-01-01": 40_000, "dt=2025-01-02": 40_000}


def ended(running: subprocess.Popen[str]) -> tuple[int, dict[str, object], str]:
    out, err = running.communicate(timeout=WAIT_SECONDS)
    return running.returncode, json.loads(out), err


def until_running() -> dict[str, Any]:
    """The run's status once its driver has said that a unit is under way, which he does every few seconds."""
    for _ in range(600):
        status = command("status", NAME, "--json").document
        if status["units"]["running"]:
            assert (status["state"], status["units"]["running"]) == ("running", 1)
            return status
        time.sleep(0.1)
    raise AssertionError("no unit was ever said to be under way")


def test_a_second_driver_is_refused_while_the_first_one_lives(gated: Gated) -> None:
    with started(gated, *RUN, "--json") as running:
        with gated.until_working():
            status = until_running()
            resume = command("resume", NAME, "--engine", "inline", "--json")
            again = command(*RUN, "--json")
            new = command(*RUN, "--new", "--json")
        gated.until_working().close()
        code, document, _ = ended(running)
    for second in (resume, again, new):
        assert second.exit_code == 5
        assert f"process {running.pid}" in second.error["message"]
        assert second.error["next"].endswith(f"raybackfill resume {status['run_uri']} --take-over")
    assert (code, document["state"], document["attempts"]) == (0, "published", 2)
    assert len(command("list", NAME, "--json").document["runs"]) == 1


def test_a_takeover_fences_the_first_driver_and_the_second_one_finishes(gated: Gated) -> None:
    with started(gated, *RUN, "--json") as first, gated.until_working() as gate:
        with started(gated, "resume", NAME, "--engine", "inline", "--take-over", "--json") as second:
            gated.until_working().close()
            gated.until_working().close()
            code, document, _ = ended(second)
            assert (code, document["state"], document["resumes"]) == (0, "published", 1)
        gate.close()
        code, document, err = ended(first)
    assert code == 5
    assert "another driver took over" in document["error"]["message"]  # type: ignore[index]
    assert "Traceback" not in err
    assert rows_of(gated.project.gold) == WHOLE
    assert command("status", NAME, "--json").document["state"] == "published"


def test_a_driver_that_sleeps_through_a_takeover_is_fenced_when_it_wakes(gated: Gated) -> None:
    with started(gated, *RUN, "--json") as first, gated.until_working() as gate:
        first.send_signal(signal.SIGSTOP)
        gate.close()
        with started(gated, "resume", NAME, "--engine", "inline", "--take-over", "--json") as second:
            gated.until_working().close()
            gated.until_working().close()
            assert ended(second)[0] == 0
        first.send_signal(signal.SIGCONT)
        assert ended(first)[0] == 5
    assert rows_of(gated.project.gold) == WHOLE


def test_a_driver_that_was_killed_on_this_machine_is_known_to_be_gone(gated: Gated) -> None:
    with started(gated, *RUN) as running:
        gated.until_working().close()
        with gated.until_working():
            running.kill()
            running.wait()
    status = command("status", NAME, "--json").document
    assert (status["state"], status["units"]["staged"], status["units"]["running"]) == ("running", 1, 0)
    document = resumed(gated, NAME)
    assert (document["state"], document["attempts"], document["resumes"]) == ("published", 2, 1)
    assert rows_of(gated.project.gold) == WHOLE


def test_a_sign_of_life_counts_while_it_is_fresh_and_the_run_is_being_worked_on() -> None:
    def sign(age: float, *, has_died: bool = False) -> Sign:
        return Sign("A", "host", 1, age, 0, has_died)

    assert is_live("running", sign(GONE_SECONDS - 1))
    assert is_live("publishing", sign(0))
    assert not is_live("running", sign(GONE_SECONDS + 1))
    assert not is_live("running", sign(0, has_died=True))
    assert not is_live("stopped", sign(0))
    assert not is_live("running", None)
