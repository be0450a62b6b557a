"""Explores all models: python -m tests.model [--quick] [--trace NAME] [--list]."""

from __future__ import annotations

import argparse
import sys
import time

from tests.model.models import Case, right, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one fault less")
    parser.add_argument("--trace", metavar="NAME", help="how a wrong rule breaks a promise, in words")
    parser.add_argument("--list", action="store_true", help="the models and the wrong rules")
    asked = parser.parse_args()
    cases = [*right(quick=asked.quick), *wrong()]
    if asked.list:
        print("\n".join(f"{case.name}: {case.wrong or case.build().bounds}" for case in cases))
        return 0
    if asked.trace:
        return show(next(case for case in cases if case.name == asked.trace))
    verdicts = [looked_at(case) for case in cases]
    return 0 if all(verdicts) else 1


def looked_at(case: Case) -> bool:
    started = time.perf_counter()
    found = case.explore()
    is_right = bool(found.broken) == bool(case.wrong)
    verdict = f"broken: {found.broken}" if found.broken else "holds"
    print(
        f"{'ok ' if is_right else 'NOT'} {case.name:34} {found.states:9,} states {found.transitions:10,} steps "
        f"{found.depth:3} deep {time.perf_counter() - started:6.1f} s  {verdict}"
    )
    if not is_right:
        print("\n".join(f"      {number}. {words}" for number, words in enumerate(found.trace, 1)))
    return is_right


def show(case: Case) -> int:
    found = case.explore()
    print(f"{case.name}: {case.wrong}")
    print("\n".join(f"  {number}. {words}" for number, words in enumerate(found.trace, 1)))
    print(f"  broken: {found.broken or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
