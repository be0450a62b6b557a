"""Turns measurements into a table for people and a document for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from typing import Any

from benchmarks.checking import Output
from benchmarks.contestants import Contestant
from benchmarks.measuring import Measurement
from benchmarks.workloads import Input

PACKAGES = ("raybackfill", "ray", "polars", "duckdb", "pyarrow")
RATIOS_TO = ("polars", "ray-data")
DETAILS = ("plan_seconds", "units", "rows_a_unit", "requests_a_unit", "proof_percent", "read_back_percent")


@dataclass(frozen=True)
class Standing:
    """All rounds of one contestant over one workload, and what it wrote in the last."""

    contestant: Contestant
    cores: int
    rounds: tuple[Measurement, ...]
    output: Output

    @property
    def seconds(self) -> float:
        return median(each.timing.seconds for each in self.rounds)

    def typical(self, value: Callable[[Measurement], float | None]) -> float | None:
        found = [each for each in map(value, self.rounds) if each is not None]
        return median(found) if found else None


def document(source: Input, standings: Sequence[Standing]) -> dict[str, Any]:
    """One workload as JSON: durations in seconds, sizes in bytes."""
    workload = source.workload
    return {
        "workload": workload.name,
        "rows": workload.rows,
        "files": workload.files,
        "bytes": source.bytes,
        "engines": [_engine(standing, standings, workload.rows) for standing in standings],
    }


def machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _engine(standing: Standing, all_of_them: Sequence[Standing], rows: int) -> dict[str, Any]:
    seconds = [each.timing.seconds for each in standing.rounds]
    others = {other.contestant.name: other.seconds for other in all_of_them}
    return {
        "name": standing.contestant.name,
        "cores": standing.cores,
        "seconds": standing.seconds,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "seconds_by_round": seconds,
        "ratios": {name: standing.seconds / others[name] for name in RATIOS_TO if name in others},
        "rows_per_second_per_core": rows / standing.seconds / standing.cores,
        "rss_bytes_peak": max(each.rss_bytes_peak for each in standing.rounds),
        "output_bytes": standing.output.bytes,
        "output_files": standing.output.files,
        "starting_seconds": standing.typical(lambda each: each.timing.starting_seconds),
        **{
            name: standing.typical(lambda each, name=name: each.timing.details.get(name))  # type: ignore[misc]
            for name in DETAILS
        },
        "writes": standing.contestant.writes,
        "codecs": list(standing.output.codecs),
    }


_COLUMNS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("engine", lambda e: str(e["name"])),
    ("seconds", lambda e: f"{e['seconds']:.2f}"),
    ("min", lambda e: f"{e['seconds_min']:.2f}"),
    ("max", lambda e: f"{e['seconds_max']:.2f}"),
    ("x polars", lambda e: _number(e["ratios"].get("polars"), 2)),
    ("x ray-data", lambda e: _number(e["ratios"].get("ray-data"), 2)),
    ("rows/s/core", lambda e: f"{e['rows_per_second_per_core']:,.0f}"),
    ("peak MB", lambda e: f"{e['rss_bytes_peak'] / 1e6:,.0f}"),
    ("out MB", lambda e: f"{e['output_bytes'] / 1e6:.1f}"),
    ("files", lambda e: f"{e['output_files']:,}"),
    ("start s", lambda e: _number(e["starting_seconds"], 1)),
    ("plan s", lambda e: _number(e["plan_seconds"], 2)),
    ("units", lambda e: _number(e["units"], 0)),
    ("rows/unit", lambda e: _number(e["rows_a_unit"], 0)),
    ("requests/unit", lambda e: _number(e["requests_a_unit"], 1)),
    ("proof %", lambda e: _number(e["proof_percent"], 1)),
    ("read-back %", lambda e: _number(e["read_back_percent"], 1)),
)


def table(of: Mapping[str, Any]) -> str:
    """A workload's document as text: engines in rows, and below what each writes."""
    lines = [[head for head, _ in _COLUMNS]]
    lines += [[show(engine) for _, show in _COLUMNS] for engine in of["engines"]]
    widths = [max(len(line[index]) for line in lines) for index in range(len(_COLUMNS))]
    body = ["  ".join(_padded(line, widths)).rstrip() for line in lines]
    head = f"{of['workload']}: {of['rows']:,} rows in {of['files']:,} files, {of['bytes'] / 1e6:.0f} MB"
    writes = [f"  {engine['name']}: {engine['writes']}" for engine in of["engines"]]
    return "\n".join([head, *body, "what each writes:", *writes])


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        line[0].ljust(widths[0]),
        *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)),
    ]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
