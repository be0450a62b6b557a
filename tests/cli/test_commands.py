"""plan, run, status, list, schema, resume: what they print, where, and how they exit."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.bad_input.project import CONFIG, PYTHON, Project
from tests.cli.commands import Printed, command
from tests.cli.gates import NAME

RUN = ("run", NAME, "--engine", "inline")
DOUBLED = 'transform: {sql: "select id, shop, value * 2 as value, dt from input"}\n'
PLAN_KEYS = {
    "format", "plan_id", "plan_uri", "backfill", "as_of", "timezone", "scope", "code", "source", "drift",
    "target", "partitions", "units", "hot_keys", "estimate", "gates", "next",
}  # fmt: skip
RUN_KEYS = {
    "format", "run_id", "run_uri", "plan_id", "backfill", "state", "held_by", "driver", "started_at", "ended_at",
    "elapsed_seconds", "eta_seconds", "partitions", "units", "rows", "bytes", "requests", "attempts", "retries",
    "rate", "errors", "table", "exit_code", "next", "digest", "verified",
}  # fmt: skip
VERIFY_KEYS = {
    "reconcile", "reconcile_skipped",
    "format", "run_id", "run_uri", "plan_id", "backfill", "state", "table", "result", "read_back", "units",
    "units_read_back", "units_bad", "units_superseded", "units_repaired", "rows", "digest", "bytes_read",
    "checks", "findings", "findings_count", "exit_code", "next",
}  # fmt: skip


def test_a_plan_changes_nothing_and_names_the_next_command(project: Project) -> None:
    printed = command("plan", NAME)
    assert (printed.exit_code, printed.err) == (0, "")
    for word in (
        "plan ",
        "3 objects (parquet)",
        "12 rows",
        "dt=2025-01-01/orders.parquet ..",
        "raybackfill run",
    ):
        assert word in printed.out
    document = command("plan", NAME, "--json").document
    assert set(document) >= PLAN_KEYS
    assert document["format"] == "plan/1"
    assert project.bytes_of_target() == {}
    assert document["partitions"]["count"] == 3
    assert document["target"]["partitions_new"] == 3


def test_the_next_command_of_a_plan_runs_just_that_plan(project: Project) -> None:
    asked = (
        "--start",
        "2025-01-02",
        "--set",
        "scope.end=2025-01-03",
        "--state",
        "elsewhere/state",
        "--project",
        ".",
    )
    planned = command("plan", NAME, "--json", *asked).document
    dry = command("run", NAME, "--json", "--dry-run", *asked).document
    words = shlex.split(planned["next"])
    assert shlex.split(dry["next"])[:-1] == words[:-1]
    assert words[-2:] == ["--plan", planned["plan_id"]]
    run = command(*words[1:], "--engine", "inline", "--json").document
    assert (run["plan_id"], run["state"]) == (planned["plan_id"], "published")
    assert sorted(project.table()) == ["dt=2025-01-02"]
    assert (project.root / "elsewhere/state/orders/runs" / run["run_id"]).is_dir()


def test_the_same_as_of_gives_the_same_plan(project: Project) -> None:
    first = command("plan", NAME, "--json", "--as-of", "2025-02-01").document
    again = command("plan", NAME, "--json", "--as-of", "2025-02-01T00:00Z").document
    later = command("plan", NAME, "--json", "--as-of", "2025-02-02").document
    assert first["plan_id"] == again["plan_id"] != later["plan_id"]
    assert first["as_of"] == "2025-02-01T00:00:00Z"


def test_the_same_job_gives_the_same_plan_again_and_again(project: Project) -> None:
    project.job("def job(rows: pa.Table): return rows\n")
    project.text(NAME, PYTHON)
    asked = ("--json", "--as-of", "2025-02-01")
    plans = [command("plan", NAME, *asked).document["plan_id"] for _ in range(3)]
    assert len(set(plans)) == 1
    project.job("def job(rows: pa.Table): return rows.slice(0)\n")
    assert command("plan", NAME, *asked).document["plan_id"] not in plans


def test_a_plan_of_another_config_is_refused(project: Project) -> None:
    planned = command("plan", NAME, "--json").document
    project.text(NAME, CONFIG + DOUBLED)
    refused = command(*RUN, "--plan", planned["plan_id"], "--json")
    assert refused.exit_code == 4
    assert planned["plan_id"] in refused.error["message"]
    assert "plan again" in refused.error["next"]
    assert project.table() == {}


@pytest.mark.parametrize("plan_id", ["ffffffffffff", "../../x", "nonsense"])
def test_a_plan_that_is_not_there(project: Project, plan_id: str) -> None:
    refused = command(*RUN, "--plan", plan_id, "--json")
    assert refused.exit_code == 2
    assert plan_id in refused.error["message"]
    assert "raybackfill plan" in refused.error["next"]


def test_a_run_says_its_news_on_stderr_and_its_result_on_stdout(project: Project) -> None:
    printed = command(*RUN)
    assert printed.exit_code == 0
    assert "published" in printed.out
    assert "12 read, 12 out" in printed.out
    assert "publishing" in printed.err
    document = command(*RUN, "--json").document
    assert set(document) >= RUN_KEYS
    assert (document["format"], document["state"], document["exit_code"]) == ("run/1", "published", 0)
    assert document["rows"] == {
        "read": 12, "out": 12, "filtered": 0, "quarantined": 0, "merged": 0, "carried": 0, "added": 0,
    }  # fmt: skip
    assert document["table"]["version"] == 2


def test_quiet_says_nothing_unless_json_is_asked_for(project: Project) -> None:
    for words in (("plan", NAME), RUN, ("status", NAME), ("list", NAME), ("run", NAME, "--dry-run")):
        assert command(*words, "--quiet") == Printed(0, "", "")
    assert command(*RUN, "--quiet", "--json").document["state"] == "published"
    broken = command("plan", "nowhere.yaml", "--quiet")
    assert (broken.exit_code, broken.out) == (2, "")
    assert "nowhere.yaml" in broken.err


def test_what_a_job_prints_stays_out_of_the_json(project: Project) -> None:
    project.job("print('imported')\ndef job(rows: pa.Table):\n    print('called')\n    return rows\n")
    project.text(NAME, PYTHON)
    for words in (("plan", NAME), RUN):
        printed = command(*words, "--json")
        assert printed.document["format"] in ("plan/1", "run/1")
        assert "imported" in printed.err
        assert "called" in printed.err


def test_overrides_win_over_the_config(project: Project) -> None:
    words = ("--start", "2025-01-02", "--end", "2025-01-03", "--set", "target.uri=silver")
    assert command(*RUN, *words, "--json").document["rows"]["read"] == 4
    assert [file.parent.name for file in project.root.glob("silver/*/*.parquet")] == ["dt=2025-01-02"]
    last = command(
        "plan", NAME, "--json", "--set", "scope.start=2025-01-01", "--start", "2025-01-03"
    ).document
    assert last["scope"]["start"] == "2025-01-03"


def test_a_gate_that_refuses_exits_with_4(project: Project) -> None:
    assert command(*RUN).exit_code == 0
    config = CONFIG + 'transform: {sql: "select * from input where id > 19"}\n'
    project.text(NAME, config)
    refused = command(*RUN, "--json")
    assert refused.exit_code == 4
    document = refused.document
    assert document["exit_code"] == 4
    assert [gate["result"] for gate in document["gates"]] == ["refused"]
    assert "dt=2025-01-01" in document["gates"][0]["reason"]
    assert "on_empty" in document["next"]
    assert "dt=2025-01-01" in command(*RUN, "--new").out


def test_a_unit_that_fails_exits_with_3_and_status_says_why(project: Project) -> None:
    project.job(
        "def job(rows: pa.Table):\n    assert rows['id'][0].as_py() < 20, 'late day'\n    return rows\n"
    )
    project.text(NAME, PYTHON.replace('job"}', 'job", per: partition}'))
    failed = command(*RUN, "--json")
    assert failed.exit_code == 3
    assert failed.error["kind"] == "UnitError"
    assert "late day" in failed.error["message"]
    status = command("status", NAME, "--json")
    assert (status.exit_code, status.document["state"], status.document["exit_code"]) == (0, "stopped", 3)
    only = command("status", NAME, "--failed", "--json").document
    assert ["late day" in error["message"] for error in only["errors"]] == [True]
    assert "late day" in command("status", NAME, "--failed").out
    # It goes on with the code that it began with: mended code is another request.
    assert command("resume", NAME, "--engine", "inline", "--json").exit_code == 3
    project.job("def job(rows: pa.Table): return rows\n")
    refused = command(*RUN, "--json")
    assert (refused.exit_code, "code" in refused.error["message"]) == (4, True)
    assert "--new" in refused.error["next"]
    assert command(*RUN, "--new").exit_code == 0
    assert command("status", NAME, "--failed").out == "none\n"


def test_an_unfinished_run_is_gone_on_with_or_the_difference_is_shown(project: Project) -> None:
    first = project.load().run(engine="inline", publish=False)
    project.text(NAME, CONFIG + "order: newest_first\n" + DOUBLED)
    refused = command(*RUN, "--json")
    assert refused.exit_code == 4
    for word in (first.id, "order oldest_first -> newest_first", "transform.sql"):
        assert word in refused.error["message"]
    assert "resume" in refused.error["next"]
    assert "--new" in refused.error["next"]
    project.text(NAME, CONFIG)
    went_on = command(*RUN, "--json")
    assert went_on.document["run_id"] == first.id
    assert "going on with" in went_on.err
    assert went_on.document["state"] == "published"


def test_a_plan_that_is_run_twice_after_an_interruption_is_one_run(project: Project) -> None:
    backfill = project.load()
    plan = backfill.plan()
    first = backfill.run(plan, engine="inline", publish=False)
    assert command(*RUN, "--plan", plan.id, "--json").document["run_id"] == first.id


def test_two_runs_one_after_the_other(project: Project) -> None:
    first, second = (command(*RUN, "--json").document for _ in range(2))
    assert first["run_id"] != second["run_id"]
    assert [run["table"]["version"] for run in (first, second)] == [1, 2]
    listed = command("list", NAME, "--json").document
    assert listed["format"] == "runs/1"
    assert [run["state"] for run in listed["runs"]] == ["published", "published"]
    assert {run["run_id"] for run in listed["runs"]} == {first["run_id"], second["run_id"]}
    assert command("list", NAME).out.count("published") == 2


def test_a_list_without_runs(project: Project) -> None:
    assert command("list", NAME, "--json").document["runs"] == []
    assert "no run yet" in command("list", NAME).out
    refused = command("status", NAME, "--json")
    assert (refused.exit_code, "no run yet" in refused.error["message"]) == (2, True)
    assert "raybackfill run" in refused.error["next"]


def test_ways_to_address_a_run(project: Project) -> None:
    run = command(*RUN, "--json").document
    state = project.root / "_raybackfill"
    relative = Path(run["run_uri"]).relative_to(project.root)
    for words in (
        (NAME,), (run["run_uri"],), (f"file://{run['run_uri']}",), (relative,),
        (run["run_id"], "--state", state), (run["run_id"], "--state", "_raybackfill"),
    ):  # fmt: skip
        assert command("status", *words, "--json").document["run_id"] == run["run_id"]
        assert command("resume", *words, "--json", "--engine", "inline").document["state"] == "published"
    from_environment = command("status", run["run_id"], "--json", RAYBACKFILL_STATE=str(state))
    assert from_environment.document["run_id"] == run["run_id"]


@pytest.mark.parametrize(
    ("run", "word"),
    [
        ("configs/nowhere.yaml", "nowhere.yaml"),
        ("orders-20250101T000000Z-abcd", "where runs are kept"),
        ("nonsense", "where runs are kept"),
        ("a/b", "not the URI of a run"),
        ("/a/b/c/d/e", "not the URI of a run"),
        ("_raybackfill/orders/runs/orders-20250101T000000Z-abcd", "no run lies there"),
    ],
)
def test_runs_that_are_not_there(project: Project, run: str, word: str) -> None:
    for name in ("status", "resume"):
        refused = command(name, run, "--json")
        assert refused.exit_code == 2
        assert word in " ".join(refused.error.values())
        assert refused.error["next"]


def test_the_schema_is_one_object(project: Project) -> None:
    assert command("schema", "--json").document == command("schema").document
    assert command("schema").document["properties"]["scope"]["properties"]["start"]


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",), ("plan",), ("plan", NAME, "extra"), ("run", NAME, "--engine", "spark"),
        ("run", NAME, "--workers", "0"), ("plan", NAME, "--nonsense"), ("resume",), ("list",), ("init",),
        ("plan", NAME, "--set", "nokey"), ("plan", NAME, "--set", "=x"), ("plan", NAME, "--set", "scope.strat=x"),
        ("plan", NAME, "--start", "2025-13-01"), ("plan", NAME, "--as-of", "tomorrow"),
        ("plan", "nowhere.yaml"), ("plan", "configs"), ("plan", NAME, "--set", "source.uri=raw/none"),
    ],
)  # fmt: skip
def test_a_wrong_command_exits_with_2(project: Project, words: tuple[str, ...]) -> None:
    plain = command(*words)
    assert (plain.exit_code, plain.out) == (2, "")
    assert plain.err
    assert "Traceback" not in plain.err
    as_json = command(*words, "--json")
    assert as_json.exit_code == 2
    assert as_json.error["kind"] == "SpecError"
    assert as_json.error["message"]


def test_a_defect_of_ours_is_one_line_that_can_be_reported(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("raybackfill.api.make_plan", broken)
    printed = command("plan", NAME, "--json")
    assert printed.exit_code == 1
    assert "ZeroDivisionError: by zero" in printed.error["message"]
    assert "report" in printed.error["next"]
    assert "Traceback" not in printed.err


def test_verify_proves_names_and_repairs(project: Project) -> None:
    assert command(*RUN).exit_code == 0
    status = command("status", NAME, "--json").document
    assert status["verified"]["result"] == "passed"
    proved = command("verify", NAME, "--engine", "inline")
    assert (proved.exit_code, proved.err) == (0, "")
    for word in ("verify passed", "digest", "rowsum1:", "12 rows", "next"):
        assert word in proved.out
    document = command("verify", NAME, "--engine", "inline", "--json").document
    assert set(document) >= VERIFY_KEYS
    assert (document["format"], document["digest"]) == ("verify/1", status["digest"])
    (damaged, *_) = sorted((project.root / "gold").rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-3])
    refused = command("verify", NAME, "--engine", "inline")
    assert refused.exit_code == 4
    assert damaged.parent.name in refused.out and "--repair" in refused.out
    mended = command("verify", NAME, "--engine", "inline", "--repair", "--json").document
    assert (mended["result"], mended["units_repaired"], mended["table"]["version"]) == ("passed", 1, 2)
    assert command("verify", NAME, "--engine", "inline", "--quiet").exit_code == 0
