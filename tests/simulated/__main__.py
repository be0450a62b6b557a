"""Runs seeds: python -m tests.simulated --seeds 300, or --seed 7 --trace."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections import Counter

from tests.simulated.story import stories


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--trace", action="store_true", help="what happened, in words")
    asked = parser.parse_args()
    first, count = (asked.first, asked.seeds) if asked.seed is None else (asked.seed, 1)
    happened: Counter[str] = Counter()
    started = time.perf_counter()
    for seed, story in stories(first, count):
        try:
            story.tell()
        except BaseException as error:
            print("\n".join(story.world.trace[-200:]))
            print(f"seed {seed} broke: {type(error).__name__}: {error}")
            print(f"again: python -m tests.simulated --seed {seed} --trace")
            return 1
        if asked.trace:
            print("\n".join(story.world.trace))
            print(f"trace {hashlib.sha256(repr(story.world.trace).encode()).hexdigest()[:16]}")
        happened += story.world.happened
    seconds = time.perf_counter() - started
    for what, times in sorted(happened.items()):
        print(f"{times:8,}  {what}")
    print(f"{count} seeds, none broke; {seconds:.1f} s, {60 * count / seconds:,.0f} seeds a minute")
    return 0


if __name__ == "__main__":
    sys.exit(main())
