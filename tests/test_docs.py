"""The docs say what is: their commands exist, their paths lie there, their example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raybackfill
from raybackfill.cli import main
from raybackfill.errors import FencedError, IntegrityError, SpecError, TransientError, UnitError

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_command_is_documented_and_every_documented_one_exists() -> None:
    said = set(
        re.findall(
            r"`(?:raybackfill )?(plan|run|resume|verify|status|list|schema|init|demo)\b",
            README + blocks("")[1],
        )
    )
    said |= set(re.findall(r"raybackfill ([a-z]+)", README)) & set(main.commands)
    assert said | {"demo"} == set(main.commands)
    for name in re.findall(r"^\| `raybackfill ([a-z]+)", README, re.MULTILINE):
        assert name in main.commands


def test_make_knows_the_readmes_two_commands() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("text", [README, ARCHITECTURE], ids=["README", "ARCHITECTURE"])
def test_every_path_that_is_named_lies_there(text: str) -> None:
    named = set(re.findall(r"`?((?:[a-z_]+/)*[a-z_]+\.(?:py|md|toml))`?", text)) - {"jobs/orders.py"}
    missing = [
        name for name in named if not any((ROOT / folder / name).exists() for folder in ("", "raybackfill"))
    ]
    known = {path.name for path in (ROOT / "raybackfill").rglob("*.py")}
    assert [name for name in missing if name not in known] == []


def test_every_module_of_the_package_stands_in_the_layers() -> None:
    for path in (ROOT / "raybackfill").iterdir():
        if path.name.startswith("__") or path.name in ("version.py",):
            continue
        name = path.name if path.suffix == ".py" else f"{path.name}/"
        assert name in ARCHITECTURE, name


def test_exit_codes_are_what_the_readme_says() -> None:
    (said,) = re.findall(r"Exit codes: (.*?)\. ", README)
    codes = {int(code) for code in re.findall(r"\b(\d) ", said)}
    assert codes == {0, 1, 2, 3, 4, 5}
    assert "2 wrong command or config" in said and SpecError("").exit_code == 2
    assert "3 stopped and resumable" in said and TransientError("").exit_code == UnitError("").exit_code == 3
    assert "5 another driver" in said and FencedError("").exit_code == 5
    assert "1 failed" in said and IntegrityError("").exit_code == 1


def test_the_readmes_example_runs(tmp_path: Path) -> None:
    """Its config and its job, on data of a shop, through the Python that it shows."""
    config, job = blocks("yaml")[0], blocks("python")[0]
    for day in ("2025-01-01", "2025-03-31", "2025-04-01"):
        folder = tmp_path / "lake" / "raw" / "orders" / f"dt={day}"
        folder.mkdir(parents=True)
        rows = pa.table({"status": ["paid", "cancelled"], "price": [2.5, 1.0], "items": [4, 1]})
        pq.write_table(rows, folder / "a.parquet")
    for name, text in {
        "configs/orders.yaml": config.replace("s3://", ""),
        "jobs/orders.py": job,
        "pyproject.toml": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    program = blocks("python")[1]
    assert 'engine="inline"' in program
    backfill = raybackfill.load(tmp_path / "configs/orders.yaml", set={"scope.start": "2025-02-01"})
    run = backfill.run(backfill.plan(), engine="inline")
    assert run.status()["rows"] == {
        "read": 2,
        "out": 1,
        "filtered": 1,
        "quarantined": 0,
        "merged": 0,
        "carried": 0,
        "added": 0,
    }
    (written,) = (tmp_path / "lake/gold/orders").rglob("*.parquet")
    assert pq.read_table(written, partitioning=None).to_pylist() == [
        {"status": "paid", "price": 2.5, "items": 4, "total": 10.0}
    ]


def test_the_extras_of_the_readme_are_those_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"`raybackfill\[([a-z]+)\]`", README):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
