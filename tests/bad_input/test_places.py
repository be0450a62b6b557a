"""Places that cannot be reached: no such bucket, no permission, wrong credentials, folders in the way."""

from __future__ import annotations

import os

import pytest

from raybackfill.errors import RaybackfillError
from raybackfill.spec.values import StorageSpec
from tests.bad_input.project import CONFIG, Project, explained
from tests.storage.scripted import Answer, error, serving


def on_s3(endpoint: str, source: str, target: str = "gold") -> str:
    storage = f"storage: {{endpoint_url: '{endpoint}', region: us-east-1}}, "
    config = CONFIG.replace("uri: raw,", f"uri: '{source}', {storage}")
    if target != "gold":
        config = config.replace("uri: gold,", f"uri: '{target}', {storage}")
    return config


def test_no_such_bucket(project: Project, s3_storage: StorageSpec, s3_bucket: str) -> None:
    assert s3_storage.endpoint_url is not None
    refused = project.refused(on_s3(s3_storage.endpoint_url, "s3://no-such-bucket-here/raw"))
    explained(refused, "SpecError", 2, "no-such-bucket-here", "does not exist", "correct the URI")
    refused = project.refused(
        on_s3(s3_storage.endpoint_url, f"s3://{s3_bucket}/raw", "s3://no-such-bucket-here/gold")
    )
    assert refused.exit_code == 2


def test_nothing_in_a_bucket(project: Project, s3_storage: StorageSpec, s3_bucket: str) -> None:
    assert s3_storage.endpoint_url is not None
    config = on_s3(s3_storage.endpoint_url, f"s3://{s3_bucket}/raw")
    explained(project.refused(config), "SpecError", 2, "nothing lies there", s3_bucket)


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("AccessDenied", 403, ["no permission", "grant s3:GetObject"]),
        ("InvalidAccessKeyId", 403, ["access key is not known", "AWS_ACCESS_KEY_ID"]),
        ("SignatureDoesNotMatch", 403, ["secret key is not the right one", "AWS_SECRET_ACCESS_KEY"]),
        ("NoSuchBucket", 404, ["bucket does not exist"]),
        ("AllAccessDisabled", 403, ["disabled"]),
    ],
)
def test_a_store_that_refuses(
    project: Project, monkeypatch: pytest.MonkeyPatch, code: str, status: int, words: list[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    def script(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        return Answer(status) if method == "HEAD" and status == 403 else error(status, code)

    with serving(script) as endpoint:
        refused = project.refused(on_s3(endpoint, "s3://bucket/raw"))
    if code in ("AccessDenied", "NoSuchBucket"):
        explained(refused, "SpecError", 2, "bucket/raw", *words)
    else:
        # A refused HEAD has no body to say why: permission is what it comes to.
        explained(refused, "SpecError", 2, "bucket/raw")


def test_a_store_that_nobody_answers_for(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with serving(lambda *_: Answer(0)) as endpoint:
        pass
    refused = project.refused(on_s3(endpoint, "s3://bucket/raw"))
    explained(refused, "TransientError", 3, "nothing answers there", "run it again")


def test_no_credentials_at_all(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with serving(lambda *_: Answer(500)) as endpoint:
        refused = project.refused(on_s3(endpoint, "s3://bucket/raw"))
    explained(refused, "SpecError", 2, "credentials", "AWS_ACCESS_KEY_ID")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write whatever the mode says")
@pytest.mark.parametrize(("folder", "mode"), [("raw", 0o000), (".", 0o555)])
def test_a_folder_without_permission(project: Project, folder: str, mode: int) -> None:
    backfill = project.load()
    path = project.root / folder
    path.chmod(mode)
    try:
        with pytest.raises(RaybackfillError) as caught:
            backfill.run(engine="inline")
    finally:
        path.chmod(0o755)
    explained(caught.value, "SpecError", 2, "permission")
    assert project.table() == {}


def test_a_file_where_the_target_should_be(project: Project) -> None:
    project.text("gold", "not a folder")
    refused = None
    try:
        project.run()
    except RaybackfillError as caught:
        refused = caught
    assert refused is not None
    explained(refused, "SpecError", 2, "gold")
    assert (project.root / "gold").read_text() == "not a folder"


def test_a_file_where_the_state_should_be(project: Project) -> None:
    project.text("_raybackfill", "not a folder")
    explained(
        project.refused(), "SpecError", 2, "_raybackfill", "not a path for a file", "move what is in the way"
    )
