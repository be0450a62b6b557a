"""Lets the engines race, round after round, checks what they wrote, and prints the table."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.checking import Output, complaint, expected_rows, look_at
from benchmarks.contestants import CONTESTANTS, Contestant, Task
from benchmarks.measuring import REPOSITORY, Measurement, measure
from benchmarks.report import Standing, document, machine, table
from benchmarks.workloads import FULL, QUICK, Input, prepare


class WrongOutputError(Exception):
    """A contestant wrote something else than was asked: its time says nothing."""


def main(arguments: Sequence[str]) -> int:
    asked = _parsed(arguments)
    cache = Path(os.environ.get("BENCH_DIR") or REPOSITORY / "build" / "bench").resolve()
    cache.mkdir(parents=True, exist_ok=True)
    chosen = [each for each in CONTESTANTS if _takes_part(each, asked.engine, asked.quick)]
    workloads = [each for each in (QUICK if asked.quick else FULL) if asked.workload in (None, each.name)]
    result = {"format": "benchmark/1", "machine": machine(), "cores": asked.cores, "rounds": asked.rounds}
    documents = []
    for workload in workloads:
        source = prepare(workload, cache)
        documents.append(document(source, compete(source, chosen, cache, asked.rounds, asked.cores)))
        print(table(documents[-1]) + "\n", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({**result, "workloads": documents}, indent=1) + "\n")
    return 0


def _takes_part(contestant: Contestant, named: Sequence[str] | None, quick: bool) -> bool:
    return contestant.name in named if named else not (quick and contestant.extra)


def compete(
    source: Input, contestants: Sequence[Contestant], cache: Path, rounds: int, cores: int
) -> list[Standing]:
    """Every contestant once a round, each round beginning with another: what disturbs the machine
    then disturbs all. WrongOutputError where what one wrote is not what the source demands."""
    expected = expected_rows(source.folder)
    measured: dict[str, list[Measurement]] = {each.name: [] for each in contestants}
    outputs: dict[str, Output] = {}
    for turn in range(rounds):
        first = turn % len(contestants)
        for contestant in [*contestants[first:], *contestants[:first]]:
            measurement, output = _one(contestant, source, cache, 1 if contestant.single_core else cores)
            wrong = complaint(output, expected)
            if wrong:
                raise WrongOutputError(f"{source.workload.name}, {contestant.name}: {wrong}")
            measured[contestant.name].append(measurement)
            outputs[contestant.name] = output
            said = f"{contestant.name} {measurement.timing.seconds:.2f} s"
            print(f"{source.workload.name} round {turn + 1}: {said}", file=sys.stderr, flush=True)
    return [
        Standing(each, 1 if each.single_core else cores, tuple(measured[each.name]), outputs[each.name])
        for each in contestants
    ]


def _one(contestant: Contestant, source: Input, cache: Path, cores: int) -> tuple[Measurement, Output]:
    folder = cache / "running"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # What the one before has written goes to the disk now, not on this one's time.
    os.sync()
    task = Task(source.workload, source.folder, folder / "table", folder, cores)
    try:
        return measure(contestant, task), look_at(task.target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [each.name for each in CONTESTANTS]
    parser.add_argument("--quick", action="store_true", help="small inputs, for a look and for CI")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 3, with --quick 1")
    parser.add_argument("--workload", choices=[each.name for each in FULL], help="only this one")
    parser.add_argument("--engine", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--cores", type=int, default=2, metavar="N", help="what each may use (default 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args(arguments)
    asked.rounds = asked.rounds or (1 if asked.quick else 3)
    return asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
