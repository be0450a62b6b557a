"""Does harm to real runs: python -m tests.chaos --seeds 20 [--first S], or --seed S."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.chaos.harms import KINDS, Clusters
from tests.chaos.seeds import Seen, play, quiet_table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="this one only")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else [asked.seed]
    clusters = Clusters()
    found: list[Seen] = []
    started = time.monotonic()
    try:
        expected = quiet_table()
        for seed in seeds:
            began = time.monotonic()
            found.append(play(seed, clusters, expected))
            told = found[-1]
            did = ", ".join(told.done) or "nothing: it came too late"
            print(f"seed {seed}: {told.kind}: {did}; {time.monotonic() - began:.1f} s", flush=True)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        clusters.shutdown()
    show(found)
    print(f"{len(found)} seeds, the table the same each time; {time.monotonic() - started:.0f} s")
    return 0 if asked.seed is not None or all_kinds_did_harm(found) else 1


def show(found: list[Seen]) -> None:
    print(f"{'kind':20} seeds  harm  resumes  epochs  workers lost  attempts")
    for kind in KINDS:
        of_kind = [each for each in found if each.kind == kind]
        sums = [
            sum(getattr(each, name) for each in of_kind) for name in ("resumes", "epochs", "lost", "attempts")
        ]
        harm = sum(bool(each.done) for each in of_kind)
        print(f"{kind:20} {len(of_kind):5} {harm:5} {sums[0]:8} {sums[1]:7} {sums[2]:13} {sums[3]:9}")


def all_kinds_did_harm(found: list[Seen]) -> bool:
    """A kind that never came in time shows nothing."""
    tried = {each.kind for each in found}
    idle = tried - {each.kind for each in found if each.done}
    for kind in sorted(idle):
        print(f"no seed of {kind} did any harm: it always came too late")
    return not idle


if __name__ == "__main__":
    sys.exit(main())
