"""The table of docs/verify.md, made of the faults that the tests try: `python -m tests.proving.table` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from raybackfill.control.proving.checks import ALL
from raybackfill.control.proving.verification import JOURNAL, RECONCILE, VIEW
from tests.proving.faults import PUBLISHED, SLIPS, STAGED, Fault, Slip

PAGE = Path(__file__).parents[2] / "docs" / "verify.md"
BEGIN, END = "<!-- the table: made by tests/proving/table.py -->\n", "<!-- end of the table -->\n"
CHECKS = [*(check.name for check in ALL), JOURNAL[0], VIEW[0], RECONCILE[0]]
GROUPS: dict[str, tuple[Fault | Slip, ...]] = {
    "what is staged": STAGED,
    "what is published": PUBLISHED,
    "rows, on their way": SLIPS,
}


def rows() -> Iterator[str]:
    yield f"| fault | {' | '.join(CHECKS)} | mended by `--repair` |"
    yield "|---" * (len(CHECKS) + 2) + "|"
    for group, faults in GROUPS.items():
        yield f"| **{group}** |" + " |" * (len(CHECKS) + 1)
        for fault in faults:
            found = " | ".join("x" if check in fault.caught else "" for check in CHECKS)
            yield f"| {fault.name} | {found} | {_mended(fault)} |"


def _mended(fault: Fault | Slip) -> str:
    if isinstance(fault, Slip):
        return "not published"
    return "yes" if fault.mended else "no"


def table() -> str:
    return "".join(f"{row}\n" for row in rows())


def with_table(text: str) -> str:
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", f"{BEGIN}{table()}{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
