"""Runs one contestant once, in this process, and prints what it took as a line of JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.contestants import Compete, Task
from benchmarks.workloads import Workload

MARK = "benchmark-timing: "
"""Engines print things too: this begins the line that counts."""


def main(run: str, document: str) -> None:
    """`document` is the Task as JSON. Importing the engine is part of its start, not of its work."""
    content = json.loads(document)
    source, target, folder = (Path(content[name]) for name in ("source", "target", "folder"))
    task = Task(Workload(**content["workload"]), source, target, folder, content["cores"])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task.cores])
    module, _, function = run.partition(":")
    began = time.perf_counter()
    compete: Compete = getattr(importlib.import_module(f"benchmarks.contestants.{module}"), function)
    importing_seconds = time.perf_counter() - began
    timing = compete(task)
    timing = replace(timing, starting_seconds=timing.starting_seconds + importing_seconds)
    print(MARK + json.dumps(asdict(timing)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
