"""One seed: a run, harm at a random moment, resumed until it is published; the table is that of a quiet run."""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.chaos.harms import KINDS, Clusters, until
from tests.chaos.project import DAYS, Project

RESUMES_MAX = 5


@dataclass(frozen=True)
class Seen:
    """What became of a seed: what was done, how often it was resumed, and what the journal tells."""

    kind: str
    done: tuple[str, ...]
    resumes: int
    epochs: int
    lost: int
    attempts: int


def quiet_table() -> dict[str, Any]:
    """What the table is after a run that nobody disturbs."""
    root = Path(tempfile.mkdtemp(prefix="raybackfill-quiet-"))
    try:
        project = Project(root)
        project.write()
        assert project.ended(project.command("run", "orders.yaml", "--engine", "inline")) == 0
        return project.table()
    finally:
        shutil.rmtree(root)


def play(seed: int, clusters: Clusters, expected: dict[str, Any]) -> Seen:
    """The folder of a seed that fails is kept, and named in the error."""
    root = Path(tempfile.mkdtemp(prefix=f"raybackfill-chaos-{seed}-"))
    project = Project(root)
    try:
        seen = _play(seed, project, clusters)
        assert project.table() == expected, "the table is not that of an undisturbed run"
        project.check_record()
        if seen.kind == "taken back":
            seen = replace(seen, done=_take_back(project))
    except BaseException as error:
        error.add_note(f"seed {seed}: what it left lies in {root}; its drivers' logs are log-*.jsonl")
        raise
    finally:
        project.stop_all()
    shutil.rmtree(root)
    return seen


def _play(seed: int, project: Project, clusters: Clusters) -> Seen:
    chance = random.Random(seed)
    kind = list(KINDS)[seed % len(KINDS)]
    project.write()
    running = project.command("run", "orders.yaml", "--engine", "ray", "--address", clusters.address)
    done = []
    after = 0
    for harm in KINDS[kind]:
        after += chance.randint(1, (DAYS - 3) // len(KINDS[kind]))
        if until(lambda: _has_come(project, kind, after), running):  # noqa: B023 (called at once)
            done.append(harm(project, running, clusters, chance))
    codes = [project.ended(running)]
    resumes = 0
    while project.state() != "published":
        resumes += 1
        assert resumes <= RESUMES_MAX, f"it does not come to an end; exit codes {codes}"
        resumed = project.command("resume", "orders.yaml", "--engine", "ray", "--address", clusters.address)
        codes.append(project.ended(resumed))
        assert codes[-1] in (0, 3), f"exit code {codes[-1]}"
    entries = project.entries()
    return Seen(
        kind,
        tuple(each for each in done if each),
        resumes,
        epochs=sum(entry["kind"] == "epoch" for entry in entries),
        lost=sum(entry.get("fault") == "worker_lost" for entry in entries),
        attempts=sum(entry["kind"] in ("receipt", "failed") for entry in entries),
    )


def _take_back(project: Project) -> tuple[str, ...]:
    """Rollback and close, each killed once it has begun and asked for again. The table is then what it was
    before the run."""
    before = Project(project.root / "before")
    before.write()
    done = []
    for command, begun, ended in (("rollback", "rolling_back", "rolled_back"), ("close", "closed", "closed")):
        running = project.command(command, "orders.yaml")
        if until(lambda: project.state() == begun, running):  # noqa: B023 (called at once)
            running.kill()
            done.append(f"{command} killed")
        running.wait()
        assert project.ended(project.command(command, "orders.yaml")) == 0
        assert project.state() == ended
    assert project.table() == before.table(), "the table is not what it was before the run"
    return tuple(done)


def _has_come(project: Project, kind: str, receipts: int) -> bool:
    return project.state() == "publishing" if kind == "publish" else project.receipts() >= receipts
