"""What verify.reconcile found, as text for a terminal, from the documents that --json prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raybackfill.observe.words import plural

KINDS = {
    "different": "differ",
    "only_in_source": "only in the source",
    "only_in_target": "only in the target",
    "repeated": "more than one row",
}


def reconciled_lines(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each entry, and below it the keys that are named, one a line."""
    return [line for number, document in enumerate(documents, 1) for line in _entry_lines(number, document)]


def _entry_lines(number: int, document: Mapping[str, Any]) -> Iterator[str]:
    keys = document["matched"] + document["mismatched_keys"]
    wrong = document["mismatched_keys"]
    head = f"reconcile {number} by {', '.join(document['keys'])}"
    if not keys:
        yield f"{head}: neither side has a row, so nothing was compared"
        return
    if not wrong:
        within = f", within {document['tolerance']}" if document["tolerance"] != "0" else ""
        yield f"{head}: {plural(keys, 'key')}, all agree{within}"
        return
    counts = ", ".join(f"{document[kind]:,} {words}" for kind, words in KINDS.items() if document[kind])
    yield f"{head}: {wrong:,} of {plural(keys, 'key')} {'does' if wrong == 1 else 'do'} not agree: {counts}"
    yield from (f"  {_mismatch(mismatch)}" for mismatch in document["examples"])
    named = len({str(mismatch["key"]) for mismatch in document["examples"]})
    if wrong > named:
        yield f"  and {wrong - named:,} more"


def _mismatch(mismatch: Mapping[str, Any]) -> str:
    key, source, target = _values(mismatch["key"]), mismatch["source"], mismatch["target"]
    if mismatch["kind"] == "different":
        column = mismatch["column"]
        return f"{key}: {column} is {_shown(source)} in the source, {_shown(target)} in the target"
    if mismatch["kind"] == "repeated":
        return f"{key}: {plural(source, 'row')} in the source, {target:,} in the target"
    values = _values(source if source is not None else target)
    return f"{key}: {KINDS[mismatch['kind']]}{f' ({values})' if values else ''}"


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_shown(value)}" for name, value in values.items())


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
