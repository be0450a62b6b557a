"""Starts a contestant in a fresh process and watches how much memory it and its children take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.contestants import Contestant, Task, Timing
from benchmarks.race import MARK

REPOSITORY = Path(__file__).parents[1]
# Often enough to see a peak, seldom enough to cost nothing beside the work.
SAMPLE_SECONDS = 0.1
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Measurement:
    """`rss_bytes_peak`: resident memory of all processes of the tree at one moment, the most of it;
    what they share counts for each. 0 where the system has no /proc."""

    timing: Timing
    rss_bytes_peak: int


class ContestantError(Exception):
    """A contestant ended without a result: its output says why."""


def measure(contestant: Contestant, task: Task) -> Measurement:
    log = task.folder / "output.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.race", contestant.run, _document(task)],
            cwd=REPOSITORY,
            env=_environment(contestant, task.cores),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_rss_bytes(process.pid))
            time.sleep(SAMPLE_SECONDS)
    lines = log.read_text(errors="replace").splitlines()
    found = [line for line in lines if line.startswith(MARK)]
    if process.returncode or not found:
        raise ContestantError(
            f"{contestant.name} ended with {process.returncode}:\n" + "\n".join(lines[-15:])
        )
    return Measurement(Timing(**json.loads(found[-1].removeprefix(MARK))), peak)


def _document(task: Task) -> str:
    return json.dumps(asdict(task), default=str)


def _environment(contestant: Contestant, cores: int) -> dict[str, str]:
    """The caller's, without what would lead Ray elsewhere or bound threads otherwise."""
    dropped = ("RAY_ADDRESS", "POLARS_MAX_THREADS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPOSITORY), kept.get("PYTHONPATH")]))
    if contestant.threads:
        kept["POLARS_MAX_THREADS"] = str(cores)
    return kept


def tree_rss_bytes(root: int) -> int:
    """Resident bytes of a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    rss: dict[int, int] = {}
    for folder in PROCESSES.glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold anything: what follows the last one is numbers.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        process, parent = int(folder.name), int(fields[1])
        children.setdefault(parent, []).append(process)
        rss[process] = int(fields[21]) * PAGE_BYTES
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        total += rss.get(process, 0)
        waiting.extend(children.get(process, []))
    return total
