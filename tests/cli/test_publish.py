"""A run that is left staged, and published when somebody says so."""

from __future__ import annotations

import pytest

from raybackfill.errors import TransientError
from tests.bad_input.project import CONFIG, Project, day_rows
from tests.cli.commands import command
from tests.cli.gates import NAME

RUN = ("run", NAME, "--engine", "inline")
MANUAL = CONFIG + "publish: manual\n"


@pytest.mark.parametrize("by", ["--no-publish", "publish: manual"])
def test_a_run_is_left_staged_and_then_published(project: Project, by: str) -> None:
    project.text(NAME, CONFIG if by == "--no-publish" else MANUAL)
    staged = command(*RUN, "--json", *(["--no-publish"] if by == "--no-publish" else []))
    assert (staged.exit_code, staged.document["state"]) == (0, "staged")
    assert staged.document["next"] == f"raybackfill publish {staged.document['run_uri']}"
    assert project.bytes_of_target() == {}
    status = command("status", NAME, "--json").document
    assert (status["state"], status["next"]) == ("staged", staged.document["next"])
    published = command("publish", NAME, "--engine", "inline", "--json")
    assert (published.exit_code, published.document["state"]) == (0, "published")
    assert published.document["run_id"] == staged.document["run_id"]
    assert [len(rows) for rows in project.table().values()] == [4, 4, 4]
    assert published.document["attempts"] == staged.document["attempts"], "nothing is worked on again"
    again = command("publish", NAME, "--engine", "inline", "--json")
    assert (again.exit_code, again.document["table"]["version"]) == (0, 1)


def test_what_is_manual_is_not_published_by_a_resume_or_another_run(project: Project) -> None:
    project.text(NAME, MANUAL)
    with pytest.raises(TransientError, match="interrupted"):
        project.load(MANUAL).run(engine="inline", stop_asked=lambda: True)
    for words in (("resume", NAME, "--engine", "inline"), RUN):
        went_on = command(*words, "--json")
        assert (went_on.exit_code, went_on.document["state"]) == (0, "staged")
    assert project.bytes_of_target() == {}


def test_a_resume_may_be_asked_to_leave_it_staged(project: Project) -> None:
    with pytest.raises(TransientError, match="interrupted"):
        project.load().run(engine="inline", stop_asked=lambda: True)
    staged = command("resume", NAME, "--engine", "inline", "--no-publish", "--json").document
    assert staged["state"] == "staged"
    assert command("resume", NAME, "--engine", "inline", "--json").document["state"] == "published"


def test_what_is_not_staged_is_not_published(project: Project) -> None:
    with pytest.raises(TransientError, match="interrupted"):
        project.load().run(engine="inline", stop_asked=lambda: True)
    refused = command("publish", NAME, "--engine", "inline", "--json")
    assert (refused.exit_code, "not staged yet" in refused.error["message"]) == (2, True)
    assert "raybackfill resume" in refused.error["next"]
    assert project.bytes_of_target() == {}


def test_what_was_taken_back_is_not_published_again(project: Project) -> None:
    run = command(*RUN, "--json").document["run_uri"]
    assert command("rollback", run).exit_code == 0
    refused = command("publish", run, "--engine", "inline", "--json")
    assert (refused.exit_code, "rolled_back" in refused.error["message"]) == (2, True)


def test_another_state_of_the_config_publishes_nothing(project: Project) -> None:
    staged = command(*RUN, "--no-publish", "--json").document
    project.text(NAME, CONFIG + "order: newest_first\n")
    refused = command("publish", NAME, "--engine", "inline", "--json")
    assert (refused.exit_code, "order oldest_first" in refused.error["message"]) == (4, True)
    assert project.bytes_of_target() == {}
    # By its own name it is what it was.
    assert command("publish", staged["run_uri"], "--engine", "inline").exit_code == 0


def test_a_table_that_changed_meanwhile_is_not_published_over(project: Project) -> None:
    assert command(*RUN).exit_code == 0
    staged = command(*RUN, "--no-publish", "--json").document
    project.write("gold/dt=2025-01-02/late.parquet", day_rows("2025-01-02"))
    before = project.bytes_of_target()
    refused = command("publish", staged["run_uri"], "--engine", "inline", "--json")
    assert (refused.exit_code, refused.document["state"]) == (4, "stopped")
    assert refused.document["gates"][0]["name"] == "target unchanged"
    assert "dt=2025-01-02/late.parquet" in refused.document["gates"][0]["reason"]
    assert project.bytes_of_target() == before
