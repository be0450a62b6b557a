"""Secrets: refused wherever they stand, and never shown."""

from __future__ import annotations

import pytest
from spec_samples import MINIMAL, Read, Refusal

from raybackfill.errors import SpecError
from raybackfill.spec.fields import CONFIG
from raybackfill.spec.secrecy import _NAMES_OF_DATA
from raybackfill.spec.shapes import MapOf, Section

KEY_ID = "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.mark.parametrize(
    ("key", "value", "secret"),
    [
        ("source.storage.secret", "hunter2", "hunter2"),
        ("source.storage.aws_secret_access_key", "hunter2", "hunter2"),
        ("source.storage.access_key", "hunter2", "hunter2"),
        ("target.storage.session_token", "hunter2", "hunter2"),
        ("target.storage.credentials", "{a: hunter2}", "hunter2"),
        ("password", "hunter2", "hunter2"),
        ("transform.params.apiKey", "hunter2", "hunter2"),
        ("transform.params.db.Password", "hunter2", "hunter2"),
        ("transform.params.token", "hunter2", "hunter2"),
        ("transform.params.list", "[{secret: hunter2}]", "hunter2"),
        ("source.uri", "s3://ME:hunter2@lake/raw", "hunter2"),
        ("source.uri", "s3://ME:hun/ter2@lake/raw", "hun/ter2"),
        ("source.storage.endpoint_url", "https://me:hunter2@minio", "hunter2"),
        ("transform.params.url", "postgres://hunter2@db/x", "hunter2"),
        ("transform.params.x", KEY_ID, KEY_ID),
        ("source.storage.region", KEY_ID.replace("AKIA", "ASIA"), "IOSFODNN7EXAMPLE"),
        ("transform.params.x", f"id={KEY_ID};", KEY_ID),
        ("transform.params", f"{{{KEY_ID}: 1}}", KEY_ID),
        ("scope.include", f"{{a: {KEY_ID}}}", KEY_ID),
        ("transform.params.x", "'-----BEGIN RSA PRIVATE KEY----- hunter2'", "hunter2"),
        ("transform.sql", "\"set s3_secret_access_key='hunter2'\"", "hunter2"),
        ("transform.params.x", "https://b.s3.amazonaws.com/a?X-Amz-Signature=hunter2", "hunter2"),
    ],
)
def test_a_secret_is_refused_and_not_shown(refusal: Refusal, key: str, value: str, secret: str) -> None:
    message = refusal(**{key: value})
    assert "secrets come from the standard AWS chain" in message
    assert secret not in message


@pytest.mark.parametrize(
    ("source", "secret"),
    [
        ("{sql: a, database: 'postgresql://me:hunter2@db/shop'}", "hunter2"),
        ("{sql: a, database: 'postgresql://me:hun/ter2@db/shop'}", "hun/ter2"),
        ("{sql: a, database: 'postgresql://:hunter2@db/shop'}", "hunter2"),
        ("{sql: a, database: 'postgresql://db/shop?user=me&password=hunter2'}", "hunter2"),
        ("{sql: a, database: 'mssql+pyodbc:///?odbc_connect=SERVER%3Ddb%3BPWD%3Dhunter2'}", "hunter2"),
        ("{sql: a, database: 'snowflake://me@a/b?token=hunter2'}", "hunter2"),
        ("{sql: a, database: 'postgresql://db/shop', password: hunter2}", "hunter2"),
        ("postgresql://me:hunter2@db/shop", "hunter2"),
        (f"{{sql: a, database: 'athena://{KEY_ID}@aws/x'}}", KEY_ID),
    ],
)
def test_a_databases_password_has_places_of_its_own(refusal: Refusal, source: str, secret: str) -> None:
    message = refusal(verify__reconcile=f"[{{source: {source}, target: b}}]")
    assert "PGPASSWORD or ~/.pgpass" in message and "database_env: NAME" in message
    assert secret not in message


def test_the_name_of_a_databases_user_is_no_secret(read: Read) -> None:
    for url in ("postgresql://me@db:5432/shop", "sqlite:////data/me@home.db", "mysql://db/shop?charset=utf8"):
        spec = read(verify__reconcile=f"[{{source: {{sql: a, database: '{url}'}}, target: b}}]")
        assert spec.verify.reconcile[0].source.database == url


def test_a_secret_in_a_query_file(read: Read) -> None:
    with pytest.raises(SpecError, match="AWS access key ID") as caught:
        read(MINIMAL + "transform: {sql: q.sql}\n", files={"/project/q.sql": f"select '{KEY_ID}'"})
    assert KEY_ID not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("source.schema", "{token: string, password_hash: string}"),
        ("scope.include", "{token: [ETH]}"),
        ("scope.exclude", "{secret: [a]}"),
        ("target.partition_by", "{token: '{token}'}"),
        ("transform", "{python: 'a:b', params: {max_tokens: 5, token_count: 1, key: k, keyboard: x}}"),
        ("transform", "{python: 'a:b', tables: {credentials: {uri: c, schema: {password: string}}}}"),
        ("transform", "{python: 'a:b', params: {url: 'https://h:9000/x', mail: me@host.org, at: 'a: b@c'}}"),
        ("target.storage.endpoint_url", "http://localhost:9000"),
        ("target.storage.kms_key", "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"),
    ],
)
def test_what_only_sounds_like_a_secret(read: Read, key: str, value: str) -> None:
    assert read(**{key: value}).name == "orders"


def test_names_of_columns_and_tables_are_known_to_the_table_of_keys() -> None:
    """Each mapping with keys of the user's own is exempt from the check of names, params is not."""
    found = set(_user_mappings(CONFIG, ""))
    assert "transform.tables.x.schema" in found
    assert {path for path in found if not _NAMES_OF_DATA.fullmatch(path)} == {"transform.params"}


def _user_mappings(section: Section, prefix: str) -> list[str]:
    paths: list[str] = []
    for field in section.fields:
        path = f"{prefix}{field.name}"
        if isinstance(field.kind, Section):
            paths += _user_mappings(field.kind, path + ".")
        elif isinstance(field.kind, MapOf):
            paths.append(path)
            if isinstance(field.kind.kind, Section):
                paths += _user_mappings(field.kind.kind, path + ".x.")
    return paths
