"""The page about verify.reconcile says what is: its example gives what it shows, its names are those of the documents."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill import api
from raybackfill.cli.showing.reconciled import reconciled_lines
from raybackfill.control.proving.reconciling import EXAMPLES_MAX, ROWS_MAX
from raybackfill.spec.fields import QUERY, RECONCILE
from tests.written import reconciled

PAGE = (Path(__file__).parents[1] / "docs" / "reconcile.md").read_text()
JOB = """
import pyarrow as pa
import pyarrow.compute as pc

def transform(rows: pa.Table) -> pa.Table:
    rows = rows.filter(pc.not_equal(rows["status"], "cancelled"))
    return rows.append_column("total", pc.multiply(rows["price"], rows["items"]))
"""
ORDERS = {
    "2025-01-01": [("paid", 7, 2.5, 4), ("paid", 8, 1.0, 1), ("cancelled", 7, 5.0, 1)],
    "2025-01-02": [("paid", 7, 2.0, 2), ("open", 9, 3.0, 3)],
}
PAYMENTS = [(7, 10.0), (7, 4.0), (8, 1.0)]


@pytest.fixture
def documents(tmp_path: Path) -> list[dict[str, Any]]:
    """What the page's example finds: of its two days, one has an order that nobody paid."""
    pytest.importorskip("duckdb")
    pytest.importorskip("sqlalchemy")
    for day, rows in ORDERS.items():
        folder = tmp_path / "lake" / "raw" / "orders" / f"dt={day}"
        folder.mkdir(parents=True)
        columns = dict(zip(("status", "customer", "price", "items"), zip(*rows, strict=True), strict=True))
        pq.write_table(
            pa.table({name: list(values) for name, values in columns.items()}), folder / "a.parquet"
        )
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("create table payments (customer integer, amount real)")
        connection.executemany("insert into payments values (?, ?)", PAYMENTS)
    connection.close()
    (config,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for name, text in {"configs/orders.yaml": config, "jobs/orders.py": JOB, "pyproject.toml": ""}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    run = api.load(tmp_path / "configs/orders.yaml").run(engine="inline", publish=False)
    return [found.to_json() for found in reconciled(run)]


def test_the_pages_example_gives_what_the_page_shows(documents: list[dict[str, Any]]) -> None:
    (shown,) = re.findall(r"```\n(reconcile 1.*?)\n```", PAGE, re.DOTALL)
    assert "\n".join(reconciled_lines(documents)) == shown


def test_the_page_names_every_key_and_every_field(documents: list[dict[str, Any]]) -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert {field.name for field in (*RECONCILE.fields, *QUERY.fields)} <= named
    assert set(documents[0]) <= named
    assert set(documents[0]["source"]) | set(documents[0]["examples"][0]) <= named
    assert f"at most {EXAMPLES_MAX} keys" in PAGE and ROWS_MAX == 5_000_000 and "five million rows" in PAGE
