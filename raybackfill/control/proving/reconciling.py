"""Decides whether two answers hold the same rows: key by key, column by column, within a tolerance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raybackfill.control.proving.likeness import Flags, Tolerance, codes_of, differing, paired, shown
from raybackfill.errors import SpecError

EXAMPLES_MAX = 20
ROWS_MAX = 5_000_000
"""Of one answer: both are compared in memory."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A key that does not agree, with values as JSON has them.

    `kind`: "different" (in this column, with the value of either side), "only_in_source" or
    "only_in_target" (with the other columns' values, there), "repeated" (with how many rows either side
    has of it).
    """

    kind: str
    key: Mapping[str, Any]
    column: str | None
    source: Any
    target: Any


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How many keys agree and how many do not, each counted once. A key that a side has more than one row
    of is `repeated`, whatever else is wrong with it. `different_in`: column -> how many keys."""

    keys: tuple[str, ...]
    rows_source: int
    rows_target: int
    matched: int
    only_in_source: int
    only_in_target: int
    different: int
    repeated: int
    different_in: Mapping[str, int]
    examples: tuple[Mismatch, ...]

    @property
    def mismatched_keys(self) -> int:
        return self.only_in_source + self.only_in_target + self.different + self.repeated

    @property
    def holds(self) -> bool:
        return not self.mismatched_keys

    def to_json(self) -> dict[str, Any]:
        return {
            "keys": list(self.keys),
            "rows_source": self.rows_source,
            "rows_target": self.rows_target,
            "matched": self.matched,
            "mismatched_keys": self.mismatched_keys,
            "only_in_source": self.only_in_source,
            "only_in_target": self.only_in_target,
            "different": self.different,
            "repeated": self.repeated,
            "different_in": dict(self.different_in),
            "examples": [asdict(mismatch) for mismatch in self.examples],
            "result": "passed" if self.holds else "failed",
        }


def reconcile(source: pa.Table, target: pa.Table, keys: Sequence[str], tolerance: str) -> Reconciliation:
    """Compare two answers. Without `keys`, the source's first column tells rows apart.

    A key that comes twice is a finding, not an error: that is what doubled rows look like. SpecError
    where the columns are not the same, or not of types that can be compared.
    """
    keys = tuple(keys) or tuple(source.column_names[:1])
    others = _other_columns(source.column_names, target.column_names, keys)
    pairs = {name: paired(name, source.column(name), target.column(name)) for name in (*keys, *others)}
    found = _Matching.of([pairs[name] for name in keys], source.num_rows)
    wrong = _differences(pairs, others, found, Tolerance.read(tolerance))
    is_different = np.logical_or.reduce([np.zeros(len(found.both), np.bool_), *wrong.values()])
    return Reconciliation(
        keys=keys,
        rows_source=source.num_rows,
        rows_target=target.num_rows,
        matched=int(len(found.both) - is_different.sum()),
        only_in_source=len(found.only_in_source),
        only_in_target=len(found.only_in_target),
        different=int(is_different.sum()),
        repeated=len(found.repeated),
        different_in={name: int(flags.sum()) for name, flags in wrong.items() if flags.any()},
        examples=_examples(_Naming(pairs, keys, others), found, wrong, is_different),
    )


def check_rows(rows: int) -> None:
    """SpecError for an answer of more rows than can be compared."""
    if rows > ROWS_MAX:
        raise SpecError(
            f"the query gives more than {ROWS_MAX:,} rows, and answers are compared in memory",
            next="let it say less: group by fewer columns, or narrow it with where",
        )


def _other_columns(source: Sequence[str], target: Sequence[str], keys: Sequence[str]) -> list[str]:
    """The columns that are compared beside the keys."""
    for side, names in (("source", source), ("target", target)):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SpecError(
                f"the {side}'s query gives the column {twice} twice", next="name each column once, with as"
            )
    for side, names, other in (("source", source, target), ("target", target, source)):
        alone = [name for name in names if name not in other]
        if alone:
            raise SpecError(
                f"only the {side}'s query gives {', '.join(alone)}: the other one gives {', '.join(other)}",
                next="let both give the same columns, named alike with as",
            )
    missing = [name for name in keys if name not in source]
    if missing:
        raise SpecError(
            f"keys names {', '.join(missing)}, and the queries give {', '.join(source)}",
            next="give the columns that tell rows apart",
        )
    return [name for name in source if name not in keys]


@dataclass(frozen=True)
class _Matching:
    """Which rows belong together: row numbers of the source and the target, -1 for none, in the order of
    the source's rows and then of the target's. `counts`: of the repeated keys, how many rows they have."""

    both: Rows
    only_in_source: Rows
    only_in_target: Rows
    repeated: Rows
    counts: Rows

    @classmethod
    def of(cls, keys: Sequence[tuple[pa.Array, pa.Array]], rows_source: int) -> _Matching:
        codes = _joint_codes(keys)
        count = int(codes.max()) + 1 if len(codes) else 0
        sides = [_first_rows(side, count) for side in (codes[:rows_source], codes[rows_source:])]
        first = np.stack([rows for rows, _ in sides], axis=1)
        counts = np.stack([counts for _, counts in sides], axis=1)
        order = np.lexsort((first[:, 1], first[:, 0], first[:, 0] < 0))
        first, counts = first[order], counts[order]
        is_repeated = (counts > 1).any(axis=1)
        source, target = counts[:, 0] > 0, counts[:, 1] > 0
        return cls(
            both=first[~is_repeated & source & target],
            only_in_source=first[~is_repeated & ~target],
            only_in_target=first[~is_repeated & ~source],
            repeated=first[is_repeated],
            counts=counts[is_repeated],
        )


def _joint_codes(keys: Sequence[tuple[pa.Array, pa.Array]]) -> Rows:
    """A number for each row of both sides, from 0 on: the same where all columns of the key are."""
    codes, _ = codes_of(*keys[0])
    for pair in keys[1:]:
        more, count = codes_of(*pair)
        codes = np.unique(codes * max(count, 1) + more, return_inverse=True)[1]
    return codes


def _first_rows(codes: Rows, count: int) -> tuple[Rows, Rows]:
    """For each key the first of its rows, or -1, and how many there are."""
    first = np.full(count, -1, np.int64)
    first[codes[::-1]] = np.arange(len(codes), dtype=np.int64)[::-1]
    return first, np.bincount(codes, minlength=count)


def _differences(
    pairs: Mapping[str, tuple[pa.Array, pa.Array]],
    others: Sequence[str],
    found: _Matching,
    tolerance: Tolerance,
) -> dict[str, Flags]:
    source, target = (pa.array(found.both[:, side]) for side in (0, 1))
    return {
        name: differing(pairs[name][0].take(source), pairs[name][1].take(target), tolerance)
        for name in others
    }


@dataclass(frozen=True)
class _Naming:
    """Names rows by their key, and says what their columns hold."""

    pairs: Mapping[str, tuple[pa.Array, pa.Array]]
    keys: Sequence[str]
    others: Sequence[str]

    def key(self, rows: Rows) -> dict[str, Any]:
        side = 0 if rows[0] >= 0 else 1
        return self._values(self.keys, side, rows)

    def alone(self, kind: str, side: int, rows: Rows) -> Mismatch:
        values: list[Any] = [None, None]
        values[side] = self._values(self.others, side, rows)
        return Mismatch(kind, self.key(rows), None, *values)

    def different(self, column: str, rows: Rows) -> Mismatch:
        source, target = (shown(self.pairs[column][side], int(rows[side])) for side in (0, 1))
        return Mismatch("different", self.key(rows), column, source, target)

    def _values(self, names: Sequence[str], side: int, rows: Rows) -> dict[str, Any]:
        return {name: shown(self.pairs[name][side], int(rows[side])) for name in names}


def _examples(
    naming: _Naming, found: _Matching, wrong: Mapping[str, Flags], is_different: Flags
) -> tuple[Mismatch, ...]:
    """Of each kind about as many, so that none hides the others; of a key, one for each column."""

    def different() -> Iterator[list[Mismatch]]:
        for at in np.flatnonzero(is_different)[:EXAMPLES_MAX]:
            columns = [name for name, flags in wrong.items() if flags[at]]
            yield [naming.different(name, found.both[at]) for name in columns]

    def repeated() -> Iterator[list[Mismatch]]:
        for rows, (source, target) in zip(found.repeated, found.counts.tolist(), strict=True):
            yield [Mismatch("repeated", naming.key(rows), None, source, target)]

    by_kind = (
        different(),
        ([naming.alone("only_in_source", 0, rows)] for rows in found.only_in_source),
        ([naming.alone("only_in_target", 1, rows)] for rows in found.only_in_target),
        repeated(),
    )
    in_turn = (group for groups in zip_longest(*by_kind) for group in groups if group)
    return tuple(mismatch for group in islice(in_turn, EXAMPLES_MAX) for mismatch in group)
