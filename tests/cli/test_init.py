"""init: what it writes plans and runs, and it overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from tests.bad_input.project import Project
from tests.cli.commands import command

pytest.importorskip("polars")


def files_below(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.delenv("RAYBACKFILL_STATE", raising=False)
    return home


@pytest.mark.parametrize("name", ["orders", "2024-orders", "import"])
def test_what_it_writes_plans_and_runs(here: Path, name: str) -> None:
    written = command("init", name, "--json").document
    assert written["format"] == "init/1"
    assert sorted(written["files"]) == sorted(files_below(here))
    config = written["config"]
    assert written["next"] == f"raybackfill plan {config}"
    plan = command("plan", config, "--json").document
    assert (plan["source"]["rows"], plan["partitions"]["count"]) == (15, 3)
    run = command("run", config, "--engine", "inline", "--json").document
    assert (run["state"], run["rows"]["out"]) == ("published", 15)
    table = ds.dataset(here / "tables" / name, partitioning="hive").to_table()
    assert table.num_rows == 15
    assert {"order_id", "customer", "amount", "dt"} <= set(table.column_names)


def test_a_source_of_ones_own(project: Project) -> None:
    project.write("lake it/orders: new/dt=2025-01-01/a.parquet", pa.table({"id": [1, 2]}))
    printed = command("init", "mine", "--source", "lake it/orders: new", "--target", "out/mine")
    assert printed.exit_code == 0
    assert "wrote configs/mine.yaml" in printed.out
    assert "id int64" in (project.root / "jobs/mine.py").read_text()
    assert command("run", "configs/mine.yaml", "--engine", "inline").exit_code == 0
    assert (project.root / "out/mine/dt=2025-01-01/part-00000.parquet").exists()


def test_it_overwrites_nothing(here: Path) -> None:
    assert command("init", "orders").exit_code == 0
    (here / "jobs/orders.py").write_text("# mine\n")
    before = files_below(here)
    again = command("init", "orders", "--json")
    assert again.exit_code == 2
    assert "overwrites nothing" in again.error["message"]
    (here / "jobs/orders.py").unlink()
    assert command("init", "orders").exit_code == 2, "the config is there still"
    assert files_below(here) == {name: data for name, data in before.items() if name != "jobs/orders.py"}


@pytest.mark.parametrize("name", ["../evil", "a/b", "My Name", "", "x" * 64])
def test_a_name_that_is_none_writes_nothing(here: Path, name: str) -> None:
    printed = command("init", "--json", "--", name)
    assert printed.exit_code == 2
    assert printed.error["where"] == "NAME"
    assert files_below(here.parent) == {}


def test_a_source_where_nothing_lies_writes_nothing(here: Path) -> None:
    printed = command("init", "orders", "--source", "nowhere", "--json")
    assert (printed.exit_code, printed.error["message"]) == (2, "nothing lies there")
    assert files_below(here) == {}


def test_another_project_s_folder(here: Path) -> None:
    (here / "sub").mkdir()
    written = command("init", "orders", "--project", "sub", "--json").document
    assert written["config"] == "sub/configs/orders.yaml"
    assert command("run", written["config"], "--engine", "inline").exit_code == 0
