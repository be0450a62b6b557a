"""A plan is what runs: another one is refused, with all that differs, and `--against` shows it before."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.bad_input.project import CONFIG, PYTHON, Project, day_rows
from tests.cli.commands import command
from tests.cli.gates import NAME

RUN = ("run", NAME, "--engine", "inline")
AS_OF = ("--as-of", "2025-02-01")


def test_a_plan_against_itself_is_the_same(project: Project) -> None:
    first = command("plan", NAME, "--json", *AS_OF).document
    assert "against" not in first
    against = command("plan", NAME, "--json", *AS_OF, "--against", first["plan_id"]).document["against"]
    assert (against["plan_id"], against["same"], against["difference"]) == (first["plan_id"], True, "")
    assert "the same" in command("plan", NAME, *AS_OF, "--against", first["plan_id"]).out


@pytest.mark.parametrize("by", ["plan", "run", "config"])
def test_what_differs_is_shown_in_words_and_as_a_document(project: Project, by: str) -> None:
    project.job("def job(rows: pa.Table): return rows\n")
    project.text(NAME, PYTHON)
    run = command(*RUN, "--json", *AS_OF).document
    project.write("raw/dt=2025-01-01/orders.parquet", day_rows("2025-01-07"))
    project.write("raw/dt=2025-01-04/orders.parquet", day_rows("2025-01-04"))
    (project.root / "raw/dt=2025-01-03/orders.parquet").unlink()
    project.job("def job(rows: pa.Table): return rows.slice(0)\n")
    project.text(NAME, PYTHON.replace('job"}', 'job", version: "2"}'))
    other = {"plan": run["plan_id"], "run": run["run_uri"], "config": NAME}[by]
    document = command("plan", NAME, "--json", "--as-of", "2025-03-01", "--against", other).document
    against = document["against"]
    assert (against["plan_id"], against["same"]) == (run["plan_id"], False)
    assert against["spec"] == [{"key": "transform.version", "before": "", "after": "2"}]
    assert against["code"]["changed"] == {"count": 1, "examples": ["jobs/orders.py"]}
    assert {kind: found["count"] for kind, found in against["inputs"].items()} == {
        "changed": 1, "new": 1, "gone": 1
    }  # fmt: skip
    # Its own publish made the table.
    assert against["target"]["new"]["count"] == 3
    assert against["target"]["base_version"] == {"before": 0, "after": 1}
    assert against["as_of"] == {"before": "2025-02-01T00:00:00Z", "after": "2025-03-01T00:00:00Z"}
    printed = command("plan", NAME, "--as-of", "2025-03-01", "--against", other).out
    for line in (
        "the job's code: jobs/orders.py",
        "1 source object changed: dt=2025-01-01/orders.parquet",
        "3 files of the target new: dt=2025-01-01/part-00000.parquet",
        "the table's version 0 -> 1",
    ):
        assert line in printed


def test_a_plan_that_is_not_there_is_refused(project: Project) -> None:
    refused = command("plan", NAME, "--json", "--against", "0123456789ab")
    assert (refused.exit_code, "no plan 0123456789ab" in refused.error["message"]) == (2, True)


def test_a_plan_of_another_state_of_config_or_code_is_refused_in_words(project: Project) -> None:
    project.job("def job(rows: pa.Table): return rows\n")
    project.text(NAME, PYTHON)
    plan = command("plan", NAME, "--json").document["plan_id"]
    project.text(NAME, PYTHON + "order: newest_first\n")
    refused = command(*RUN, "--plan", plan, "--json")
    assert refused.exit_code == 4
    assert refused.error["message"].endswith("order oldest_first -> newest_first")
    project.text(NAME, PYTHON)
    project.job("def job(rows: pa.Table): return rows.slice(0)\n")
    refused = command(*RUN, "--plan", plan, "--json")
    assert refused.exit_code == 4
    assert refused.error["message"].endswith("the job's code: jobs/orders.py")
    assert command("list", NAME, "--json").document["runs"] == []


def test_another_plan_does_not_go_on_with_an_unfinished_run(project: Project) -> None:
    unfinished = project.load().run(engine="inline", publish=False, as_of="2025-02-01")
    project.write("raw/dt=2025-01-04/orders.parquet", day_rows("2025-01-04"))
    plan = command("plan", NAME, "--json", *AS_OF).document["plan_id"]
    refused = command(*RUN, "--plan", plan, "--json")
    assert refused.exit_code == 4
    for word in (unfinished.id, plan, "1 source object new: dt=2025-01-04/orders.parquet"):
        assert word in refused.error["message"]
    assert "--new" in refused.error["next"]
    assert command(*RUN, "--plan", plan, "--new").exit_code == 0
    assert len(project.table()) == 4


def test_an_unfinished_run_is_not_resumed_by_a_config_that_says_something_else(project: Project) -> None:
    unfinished = project.load().run(engine="inline", publish=False)
    project.text(NAME, CONFIG + "order: newest_first\n")
    refused = command("resume", NAME, "--engine", "inline", "--json")
    assert (refused.exit_code, "order oldest_first" in refused.error["message"]) == (4, True)
    # By its own name it goes on with what it began with.
    assert command("resume", unfinished.uri, "--engine", "inline").exit_code == 0
    assert command("resume", NAME, "--engine", "inline").exit_code == 0, "what is done is done"


def test_a_plan_whose_table_changed_is_refused_before_any_work(project: Project) -> None:
    assert command(*RUN).exit_code == 0
    plan = command("plan", NAME, "--json").document["plan_id"]
    project.write("gold/dt=2025-01-02/late.parquet", pa.table({"id": [7], "shop": ["z"], "value": [0.5]}))
    refused = command(*RUN, "--plan", plan, "--json")
    assert (refused.exit_code, refused.error["kind"]) == (4, "IntegrityError")
    assert "1 file of the target new: dt=2025-01-02/late.parquet" in refused.error["message"]
    assert len(command("list", NAME, "--json").document["runs"]) == 1
