"""raybackfill init: looks at a source, and writes a job and a config that run."""

from __future__ import annotations

import importlib.util
import json
import keyword
import os
import re
from dataclasses import dataclass
from pathlib import Path

import click

from raybackfill.cli.frame import Common, common_options
from raybackfill.errors import SpecError
from raybackfill.planning.parts import look_at
from raybackfill.spec.nodes import Place
from raybackfill.spec.scalars import backfill_name

POLARS_JOB = '''"""The job of the backfill {name}: what the rows of the target are made of."""

import polars as pl


def transform(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Gets any batch of the source's rows and gives rows of the target: the same rows each time.

    {columns}
    """
    return rows
'''
ARROW_JOB = POLARS_JOB.replace("import polars as pl", "import pyarrow as pa").replace(
    "pl.LazyFrame", "pa.Table"
)

CONFIG = """\
# The backfill {name}. All keys: raybackfill schema
name: {name}
source:
  uri: {source}
  path: {path}
# scope: {{start: 2025-01-01, end: 2025-02-01}}   # which rows of the target; without it all of them
transform: {{python: jobs.{module}:transform, version: "1"}}
target:
  uri: {target}
{partition_by}"""

PROJECT = """\
# This folder is the root of the backfills below it: their jobs are imported from here.
[project]
name = "backfills"
version = "0"
requires-python = ">=3.11"
"""

SAMPLE = {
    f"dt=2025-01-0{day}/orders.csv": "order_id,customer,amount\n"
    + "".join(f"{day}{n},customer-{n % 3},{n * day}.50\n" for n in range(1, 6))
    for day in (1, 2, 3)
}


@dataclass(frozen=True)
class Seen:
    """What was found at the source, as a config says it."""

    uri: str
    path: str
    columns: str
    partition_by: str


@click.command()
@click.argument("name")
@click.option("--source", metavar="URI", help="Where the data lies (default: a small sample is written).")
@click.option("--target", metavar="URI", help="The table to build (default: tables/NAME).")
@common_options
def init(common: Common, name: str, source: str | None, target: str | None) -> int:
    """Write jobs/NAME.py and configs/NAME.yaml that run. Overwrites nothing."""
    root = Path(common.project or ".").resolve()
    module = _module(name)
    files: dict[Path, str] = {}
    if not any((folder / "pyproject.toml").exists() for folder in (root, *root.parents)):
        files[root / "pyproject.toml"] = PROJECT
    if source is None:
        files |= {root / "data" / name / path: text for path, text in SAMPLE.items()}
    _refuse_existing([root / "jobs" / f"{module}.py", root / "configs" / f"{name}.yaml", *files])
    if source is None:
        _write(files)
    seen = _look(source or f"data/{name}", root)
    if source is not None:
        _write(files)
    job = POLARS_JOB if importlib.util.find_spec("polars") else ARROW_JOB
    written = {
        root / "jobs" / f"{module}.py": job.format(name=name, columns=seen.columns),
        root / "configs" / f"{name}.yaml": CONFIG.format(
            name=name,
            module=module,
            source=_plain(seen.uri),
            path=json.dumps(seen.path, ensure_ascii=False),
            target=_plain(target or f"tables/{name}"),
            partition_by=seen.partition_by,
        ),
    }
    _write(written)
    config = os.path.relpath(root / "configs" / f"{name}.yaml")
    document = {
        "format": "init/1",
        "config": config,
        "files": [str(path.relative_to(root)) for path in (*files, *written)],
        "next": f"raybackfill plan {config}",
    }
    common.show(
        document, lambda: "\n".join([*(f"wrote {f}" for f in document["files"]), f"next: {document['next']}"])
    )
    return 0


def _module(name: str) -> str:
    """The job's module for a backfill's name, which may begin with a digit and hold hyphens."""
    module = Place("NAME").locate(backfill_name, name).replace("-", "_")
    return f"job_{module}" if module[0].isdigit() or keyword.iskeyword(module) else module


def _plain(text: str) -> str:
    """A place as YAML: quoted where it holds what YAML would take for its own."""
    return (
        text if re.fullmatch(r"[\w/.@=+-]+(://[\w/.@=+-]+)?", text) else json.dumps(text, ensure_ascii=False)
    )


def _look(uri: str, root: Path) -> Seen:
    found = look_at(uri, root)
    times = [name for name in found.path_columns if f"={{{name}:%Y-%m-%d}}" in found.template]
    partition = f"  partition_by: [{times[0]}]\n" if times else ""
    columns = ", ".join(f"{field.name} {field.type}" for field in found.schema)
    return Seen(uri, found.template, f"Columns: {columns}", partition)


def _refuse_existing(paths: list[Path]) -> None:
    there = [path for path in paths if path.exists()]
    if there:
        raise SpecError(
            "is there already, and init overwrites nothing", where=str(there[0]), next="choose another name"
        )


def _write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
