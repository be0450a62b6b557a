"""All models as they should be, and each wrong rule that must be found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.model import appending, journal, publish, redoing, replanning, units
from tests.model.explorer import Explored, Explorer

PATHS_LIMIT = "paths without conditional writes"


@dataclass(frozen=True)
class Case:
    """A model to be explored. `wrong` says in words which rule is the wrong one; "" for none."""

    name: str
    build: Callable[[], Any]
    wrong: str = ""

    def explore(self) -> Explored:
        return Explorer(self.build()).explore()


def right(*, quick: bool) -> list[Case]:
    return [
        Case("journal", lambda: journal.Journal(faults=2 if quick else 3)),
        Case("splitting", units.Splitting),
        Case("redoing", redoing.Redoing),
        Case("replanning", replanning.Replanning),
        Case("cleaning", units.Cleaning),
        Case("publishing", publish.Publishing),
        Case("publishing, repaired", lambda: publish.Publishing(conditional=False, repairs=True)),
        Case("appending", appending.Appending),
    ]


def wrong() -> list[Case]:
    cases = [
        Case(rule, lambda rule=rule: journal.Journal(rule, faults=2), words)  # type: ignore[misc]
        for rule, words in journal.RULES.items()
    ]
    tables: list[tuple[dict[str, str], Callable[[str], Any]]] = [
        (units.SPLITTING_RULES, units.Splitting),
        (redoing.RULES, redoing.Redoing),
        (replanning.RULES, replanning.Replanning),
        (units.CLEANING_RULES, units.Cleaning),
        (publish.RULES, publish.Publishing),
        (appending.RULES, appending.Appending),
    ]
    cases += [
        Case(rule, lambda rule=rule, build=build: build(rule), words)  # type: ignore[misc]
        for rules, build in tables
        for rule, words in rules.items()
    ]
    limit = "a path is replaced whatever it holds by then: the known limit of stores without conditions"
    return [*cases, Case(PATHS_LIMIT, lambda: publish.Publishing(conditional=False), limit)]
