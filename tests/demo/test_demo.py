"""raybackfill demo, from the command to its exit code."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from raybackfill.api import load
from raybackfill.cli import main
from raybackfill.cli.demo import changed_outside
from raybackfill.demo import project
from raybackfill.demo.check import Findings
from raybackfill.demo.lake import REVENUE
from raybackfill.demo.shop import DAYS_MIN, Shop

REPOSITORY = Path(__file__).parents[2]
# By name: `raybackfill.cli.demo` as an attribute is the command.
DEMO_MODULE = sys.modules["raybackfill.cli.demo"]
SMALL = ["demo", "--days", str(DAYS_MIN), "--engine", "inline"]


@pytest.fixture(autouse=True)
def few_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DEMO_MODULE, "Shop", functools.partial(Shop, orders_a_day=2_000))


def command(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def document_of(result: Result) -> dict[str, Any]:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_it_restores_the_table_in_a_kept_folder_and_what_it_names_next_works(tmp_path: Path) -> None:
    folder = tmp_path / "my shop"
    result = command(*SMALL, "--keep", str(folder), "--json")
    document = document_of(result)
    assert result.exit_code == 0
    assert document["passed"]
    assert document["before"]["hours_missing"] == 12
    assert document["before"]["hours_wrong"] > 20
    assert document["before"]["wrong_by_euros"] > 0
    after = document["after"]
    assert (after["hours_missing"], after["hours_wrong"], after["files_changed_outside"]) == (0, 0, 0)
    rows = document["run"]["rows"]
    assert rows["read"] == rows["out"] + rows["filtered"]
    assert document["plan"]["target"]["partitions_new"] == 12
    assert document["plan"]["target"]["differences"] == []
    assert {drift["column"] for drift in document["plan"]["drift"]} >= {"customer_id", "discount_percent"}
    assert document["next"]
    for line in document["next"]:
        program, *arguments = shlex.split(line)
        assert program == "raybackfill"
        if arguments[0] == "run":
            arguments += ["--engine", "inline"]
        tried = command(*arguments)
        assert tried.exit_code == 0, tried.output


def test_the_steps_are_told_in_order(tmp_path: Path) -> None:
    result = command(*SMALL, "--keep", str(tmp_path / "shop"))
    assert result.exit_code == 0
    told = [
        "1. A shop's orders",
        "2. What is wrong",
        "144 hours: 12 missing",
        "3. The plan",
        "60 partitions rewritten, 12 new, 72 untouched",
        "4. The run, in this process",
        "published",
        "5. The same check again",
        "144 hours: 0 missing, 0 wrong",
        "the 72 partitions outside of the plan are byte for byte what they were",
        "The table is right again",
        "Try next:",
    ]
    places = [result.stdout.find(text) for text in told]
    assert -1 not in places, dict(zip(told, places, strict=True))
    assert places == sorted(places)


def test_a_job_that_is_wrong_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "JOB_TEXT", project.JOB_TEXT.replace("(1 - discount)", "1"))
    result = command(*SMALL, "--keep", str(tmp_path / "shop"), "--json")
    document = document_of(result)
    assert result.exit_code == document["exit_code"] == 1
    assert not document["passed"]
    assert document["after"]["hours_missing"] == 0
    assert document["after"]["hours_wrong"] > 20


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = command(*SMALL, "--keep", str(tmp_path), "--json")
    assert result.exit_code == 2
    assert "overwrites nothing" in json.loads(result.stdout)["error"]["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("absent", ["moto", "polars", "duckdb"])
def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else find_spec(name))
    result = command(*SMALL, "--json")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert absent in error["message"]
    assert error["next"] == "pip install 'raybackfill[demo]'"


def test_what_changed_outside_of_the_days_is_named() -> None:
    shop = Shop(days=DAYS_MIN)
    hours = list(shop.hours())
    inside = next(hour.folder for hour in hours if shop.is_in_window(hour))
    first, second, last = hours[0].folder, hours[1].folder, hours[-1].folder

    def findings(digests: dict[str, tuple[str, ...]]) -> Findings:
        return Findings(len(hours), (), (), 0, 0, 0.0, digests)

    before = findings({first: ("a",), second: ("b",), inside: ("c",)})
    assert changed_outside(shop, before, before) == []
    after = findings({first: ("a", "x"), last: ("b",), inside: ("d",)})
    assert changed_outside(shop, before, after) == [first, second, last]


@pytest.mark.s3
def test_on_its_own_s3_it_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    for name, value in (("AWS_PROFILE", "no-such-profile"), ("RAYBACKFILL_STATE", "/no/such/folder")):
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    configs: list[Path] = []

    def load_seen(config: Path) -> Any:
        configs.append(config)
        return load(config)

    monkeypatch.setattr(DEMO_MODULE, "load", load_seen)
    result = command(*SMALL, "--json")
    document = document_of(result)
    assert result.exit_code == 0
    assert document["passed"]
    assert document["lake"] == "s3://shop"
    assert document["run"]["table"]["uri"] == f"s3://shop/{REVENUE}"
    assert document["kept"] is None
    assert dict(os.environ) == before
    assert [config.exists() for config in configs] == [False]


@pytest.mark.ray
@pytest.mark.s3
def test_the_real_command_on_ray_and_s3() -> None:
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    ended = subprocess.run(
        [sys.executable, "-m", "raybackfill", "demo", "--days", str(DAYS_MIN), "--json"],
        cwd=REPOSITORY,
        # An address of somebody's cluster must not draw the demo there.
        env={**os.environ, "RAY_ADDRESS": "10.255.255.1:6379"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["passed"]
    assert document["run"]["state"] == "published"
    assert document["run"]["units"]["published"] > 5
    assert document["after"]["hours"] == 24 * DAYS_MIN
