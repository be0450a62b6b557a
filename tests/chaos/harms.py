"""The harm that is done to a run, each kind a function: it comes back when it is done, and says what it saw."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.project import SECONDS_MAX, Project

POLL_SECONDS = 0.05


class Clusters:
    """A Ray cluster of a head without CPUs and two nodes of one, started when it is needed."""

    def __init__(self) -> None:
        self._cluster: Any = None

    @property
    def address(self) -> str:
        return str(self._started().address)

    def _started(self) -> Any:
        from ray.cluster_utils import Cluster

        if self._cluster is None:
            self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
            for _ in range(2):
                self._cluster.add_node(num_cpus=1)
        return self._cluster

    def lose_node(self, chance: random.Random) -> None:
        cluster = self._started()
        workers = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]
        cluster.remove_node(chance.choice(workers), allow_graceful=False)
        cluster.add_node(num_cpus=1)

    def shutdown(self) -> None:
        if self._cluster is not None:
            self._cluster.shutdown()
            self._cluster = None


def until(what: Callable[[], object], running: subprocess.Popen[str]) -> bool:
    """Whether it came to that while the process still ran."""
    end = time.monotonic() + SECONDS_MAX
    while time.monotonic() < end:
        if what():
            return running.poll() is None
        if running.poll() is not None:
            return False
        time.sleep(POLL_SECONDS)
    raise AssertionError("it never came to the point at which harm was to be done")


def processes(title: str) -> list[int]:
    """The processes of this machine whose title begins so."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if (folder / "cmdline").read_bytes().decode(errors="replace").startswith(title):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


Harm = Callable[[Project, subprocess.Popen[str], Clusters, random.Random], str]


def kill_driver(
    project: Project, running: subprocess.Popen[str], clusters: Clusters, chance: random.Random
) -> str:
    running.kill()
    running.wait()
    return "driver killed"


def _kill(title: str, chance: random.Random) -> str:
    found = processes(title)
    if not found:
        return ""
    os.kill(chance.choice(found), signal.SIGKILL)
    return f"{title} killed"


def kill_worker(
    project: Project, running: subprocess.Popen[str], clusters: Clusters, chance: random.Random
) -> str:
    return _kill("ray::raybackfill-unit", chance)


def kill_actor(
    project: Project, running: subprocess.Popen[str], clusters: Clusters, chance: random.Random
) -> str:
    return _kill("ray::CheckpointActor", chance)


def lose_node(
    project: Project, running: subprocess.Popen[str], clusters: Clusters, chance: random.Random
) -> str:
    clusters.lose_node(chance)
    return "node lost"


def take_over(
    project: Project, running: subprocess.Popen[str], clusters: Clusters, chance: random.Random
) -> str:
    """The driver sleeps; another one, somewhere else, takes the run over and ends it; the first wakes up."""
    running.send_signal(signal.SIGSTOP)
    second = project.command("resume", "orders.yaml", "--take-over", "--engine", "inline")
    assert project.ended(second) == 0, "the driver that took over could not end the run"
    running.send_signal(signal.SIGCONT)
    code = project.ended(running)
    assert code == 5, f"the driver that slept ended with {code}, not 5"
    return "fenced on waking"


def lose_cluster(
    project: Project, running: subprocess.Popen[str], clusters: Clusters, chance: random.Random
) -> str:
    """All of Ray is gone; whoever sees to the run ends the driver, and goes on without."""
    clusters.shutdown()
    kill_driver(project, running, clusters, chance)
    resumed = project.command("resume", "orders.yaml", "--engine", "inline")
    assert project.ended(resumed) == 0, "the run could not be resumed without Ray"
    return "resumed without Ray"


KINDS: dict[str, tuple[Harm, ...]] = {
    "driver": (kill_driver,),
    "worker": (kill_worker,),
    "actor": (kill_actor,),
    "node": (lose_node,),
    "sleeper": (take_over,),
    "publish": (kill_driver,),
    "actor, then driver": (kill_actor, kill_driver),
    "worker, then node": (kill_worker, lose_node),
    "worker twice": (kill_worker, kill_worker),
    "cluster": (lose_cluster,),
    "taken back": (),
}
"""What is done, in order; for "publish" when the run is being published, else after some receipts. What is
"taken back" is not harmed before: its rollback and its close are."""
