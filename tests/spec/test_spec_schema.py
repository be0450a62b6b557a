"""The JSON Schema and the reader: both from one table of keys, and tried against each other."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from spec_cases import ACCEPTED, NOT_IN_THIS_VERSION
from spec_samples import FULL, MINIMAL, Read, Refusal

from raybackfill.spec import json_schema
from raybackfill.spec.nodes import Place
from raybackfill.spec.params import core_value


def schema_keys(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for form in schema.get("anyOf", []):
        yield from schema_keys(form, prefix)
    for name, inner in schema.get("properties", {}).items():
        yield prefix + name, inner
        yield from schema_keys(inner, f"{prefix}{name}.")
        for form in (inner, *inner.get("anyOf", [])):
            for many in (form.get("additionalProperties"), form.get("items")):
                if isinstance(many, dict):
                    yield from schema_keys(many, f"{prefix}{name}.*.")


KEYS = dict(schema_keys(json_schema()))
COMING = sorted(key for key, inner in KEYS.items() if inner.get("not") == {})
PRESENT = sorted(set(KEYS) - set(COMING))
ALONE = {
    "transform.sql": "select * from input",
    "verify.reconcile.*.source.database_env": "SHOP_URL",
    "verify.reconcile.*.target.database": "sqlite:///shop.db",
}
"""Keys that cannot stand in the full config, beside others."""


def document_with(key: str, value: Any) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(MINIMAL, Loader=yaml.BaseLoader)
    inner = document
    *above, last = key.split(".")
    for name in above:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return document


def sample(key: str) -> Any:
    """The value that the full config has at a key of the schema; `*` is its first."""
    value: Any = FULL
    for name in key.split("."):
        value = inside(value, name)
    return value


def inside(value: Any, name: str) -> Any:
    if name != "*":
        return value[name]
    return value[0] if isinstance(value, list) else next(iter(value.values()))


def test_the_schema_is_json_and_describes_every_key() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()
    assert [key for key, inner in KEYS.items() if not inner.get("description")] == []


def test_keys_of_later_versions_are_marked() -> None:
    assert sorted(NOT_IN_THIS_VERSION) == COMING
    assert all("not in this version" in KEYS[key]["description"] for key in COMING)


@pytest.mark.parametrize("key", [key for key in PRESENT if key not in ALONE])
def test_the_reader_knows_each_key_of_the_schema(read: Read, refusal: Refusal, key: str) -> None:
    """With the sample it is read; with a wrong name beside it, the reader lists it among its keys."""
    document = copy.deepcopy(FULL)
    *above, last = key.split(".")
    inner: Any = document
    for name in above:
        inner = inside(inner, name)
    assert last in inner, "the full config has every key"
    inner["qqqq"] = "1"
    listed = refusal(yaml.safe_dump(document)).rpartition("he keys here are ")[2].split(", ")
    prefix = ".".join([*above, ""])
    assert sorted(prefix + name for name in listed) == sorted(
        other for other in PRESENT if other.startswith(prefix) and "." not in other[len(prefix) :]
    )


def test_the_full_config_is_read(read: Read) -> None:
    assert read(yaml.safe_dump(FULL)).name == "full"


jsonschema = pytest.importorskip("jsonschema", reason="moto brings jsonschema; raybackfill does not need it")
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def as_an_editor_types_it(value: Any) -> Any:
    """Editors read YAML 1.2: a plain 1.10 is a number to them, a plain false no text."""
    if isinstance(value, dict):
        return {key: as_an_editor_types_it(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_an_editor_types_it(item) for item in value]
    return core_value(value, Place("a test"))


def test_configs_fit_as_text_and_as_an_editor_types_them() -> None:
    VALIDATOR.validate(FULL)
    typed = as_an_editor_types_it(FULL)
    assert typed["transform"]["version"] == 1.1, "this form has numbers"
    VALIDATOR.validate(typed)
    VALIDATOR.validate(yaml.load(MINIMAL, Loader=yaml.BaseLoader))


@pytest.mark.parametrize("key", PRESENT)
def test_each_key_fits_alone(key: str) -> None:
    value = ALONE[key] if key in ALONE else sample(key)
    if "*" in key or "." not in key:
        return VALIDATOR.validate(FULL)
    return VALIDATOR.validate(document_with(key, value) if key.count(".") == 1 else FULL)


@pytest.mark.parametrize("key", [*COMING, "zzz", "source.zzz", "limits.zzz", "transform.zzz"])
def test_keys_that_the_reader_refuses_do_not_fit(key: str) -> None:
    assert not VALIDATOR.is_valid(document_with(key, "1"))


@pytest.mark.parametrize(("key", "value"), [(case[0], case[1]) for case in ACCEPTED])
def test_what_the_reader_takes_fits(key: str, value: str) -> None:
    VALIDATOR.validate(document_with(key, yaml.load(value, Loader=yaml.BaseLoader)))


BY_SHAPE = [
    ("name", "Orders"),
    ("source.path", "{ts:%Y}"),
    ("source.schema", "[a]"),
    ("source.format", "orc"),
    ("source.storage.anonymous", "no"),
    ("source.storage.endpoint_url", "minio:9000"),
    ("source.csv.delimiter", "';;'"),
    ("scope.start", "yesterday"),
    ("scope.include", "{a: []}"),
    ("scope.margin", "31"),
    ("transform", "{python: 'a:b', sql: select 1}"),
    ("transform.python", "jobs.orders"),
    ("transform.per", "batch"),
    ("target.partition_by", "dt"),
    ("target.partition_by", "[dt, dt]"),
    ("target.partition_by", "[a/b]"),
    ("target.sort_by", "[a, a]"),
    ("target.file_size", "256"),
    ("limits.concurrency", "0"),
    ("retries.breaker", "1.5"),
    ("shrink", "101%"),
    ("order", "random"),
    ("publish", "now"),
    ("verify", "half"),
    ("verify", "{read_back: half}"),
    ("verify.reconcile", "[{source: select 1}]"),
    ("verify.reconcile", "[{source: {database: a://b}, target: b}]"),
    ("verify.reconcile", "[{source: a, target: b, tolerance: few}]"),
    ("verify.reconcile", "[{source: {sql: a, database: shop.db}, target: b}]"),
    ("verify.reconcile", "[{source: {sql: a, database: a://b, database_env: C}, target: b}]"),
]


@pytest.mark.parametrize(("key", "value"), BY_SHAPE)
def test_what_has_the_wrong_shape_neither_fits_nor_is_read(refusal: Refusal, key: str, value: str) -> None:
    assert refusal(**{key: value}).startswith(f"--set {key}")
    assert not VALIDATOR.is_valid(document_with(key, yaml.load(value, Loader=yaml.BaseLoader)))
