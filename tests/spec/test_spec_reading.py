"""Reading: what a config means, what is refused, and how the refusals read."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from spec_cases import ACCEPTED, NOT_IN_THIS_VERSION, PARAMS, REFUSED
from spec_samples import FULL, MINIMAL, Read, Refusal

from raybackfill.errors import SpecError
from raybackfill.spec import (
    BackfillSpec,
    CsvSpec,
    LimitsSpec,
    Moment,
    PartitionField,
    QuerySpec,
    ReconcileSpec,
    RetriesSpec,
    ScopeSpec,
    SourceSpec,
    StorageSpec,
    TableSpec,
    TargetSpec,
    TransformSpec,
    VerifySpec,
    read_spec,
    spec_document,
    spec_from_document,
)

VERIFY = VerifySpec(
    "sample",
    (
        ReconcileSpec(
            QuerySpec("select a, b from orders", database="postgresql://me@db/shop"),
            QuerySpec("select a, b from target", database_env="WAREHOUSE_URL"),
            ("a",),
            "0.1%",
        ),
    ),
)


def test_the_smallest_config_has_the_defaults_of_the_values(read: Read) -> None:
    assert read() == BackfillSpec(
        name="orders",
        source=SourceSpec(uri="s3://lake/raw/orders"),
        target=TargetSpec(uri="s3://lake/gold/orders"),
        state="s3://lake/gold/_raybackfill",
    )


def test_every_key_reaches_its_value(read: Read) -> None:
    storage = StorageSpec("https://minio.local:9000", "eu-central-1", "backfills", True, "alias/lake", True)
    assert read(yaml.safe_dump(FULL).replace("vat: '0.19'", "vat: 0.19")) == BackfillSpec(
        name="full",
        timezone="Europe/Berlin",
        source=SourceSpec(
            uri="s3://lake/raw/orders",
            path="dt={dt:%Y-%m-%d}/*.csv.gz",
            format="csv",
            schema={"amount": "decimal(18,3)", "at": "timestamp(us, UTC)"},
            where="amount > 0",
            storage=storage,
            csv=CsvSpec(";", False, "NULL", "latin-1"),
            timezone="America/New_York",
        ),
        scope=ScopeSpec(
            start=Moment(1735686000000000, "2025-01-01", True),
            end=Moment(1743480000000000, "2025-04-01T06:00", False),
            column="dt",
            include={"tenant": ("A", "08"), "region": ("eu",)},
            exclude={"dt": ("2025-02-03",)},
            margin_seconds=31 * 86400,
        ),
        transform=TransformSpec(
            python="jobs.orders:revenue",
            per="partition",
            params={"vat": 0.19, "nested": {"a": "null", "b": ["1", "no"]}},
            tables={
                "customers": TableSpec("/project/data/customers", "*.parquet", "parquet", {"id": "int64"})
            },
            version="1.10",
        ),
        target=TargetSpec(
            uri="s3://lake/gold/orders",
            partition_by=(PartitionField("dt", "{ts:%Y-%m-%d}"), PartitionField("region")),
            mode="append",
            allow_duplicates=True,
            outside_scope="filter",
            on_empty="remove",
            schema={"amount": "double"},
            sort_by=("ts", "region"),
            file_size=64 * 2**20,
            storage=StorageSpec(
                "https://minio.local:9000", "eu-central-1", "backfills", False, "alias/gold", False
            ),
            timezone="UTC",
        ),
        state="s3://lake/states",
        order="newest_first",
        limits=LimitsSpec(2_000_000_000, 8),
        retries=RetriesSpec(6, 0.025),
        verify=VERIFY,
        shrink=0.125,
        publish="manual",
    )


def test_a_refusal_reads_like_a_sentence_with_its_line(refusal: Refusal) -> None:
    text = MINIMAL + "scope:\n  start: 2025-01-01\n  end: 2025-04-31\n"
    message = "configs/orders.yaml:6: scope.end: 2025-04-31 is not a date; write YYYY-MM-DD"
    assert refusal(text) == message


def test_the_place_of_a_refusal(read: Read) -> None:
    with pytest.raises(SpecError) as caught:
        read(MINIMAL + "limits:\n\n  concurrency: many\n")
    assert caught.value.where == "configs/orders.yaml:6: limits.concurrency"


@pytest.mark.parametrize("key", NOT_IN_THIS_VERSION)
def test_a_key_of_a_later_version(refusal: Refusal, key: str) -> None:
    assert refusal(**{key: "full"}) == f"--set {key}: is not in this version; leave it out"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("publish", "partition"),
        ("target.mode", "upsert"),
        ("target.outside_scope", "quarantine"),
        ("target.format", "csv"),
        ("source.format", "orc"),
        ("source.format", "avro"),
        ("source", "[{uri: s3://lake/a}, {uri: s3://lake/b}]"),
    ],
)
def test_a_value_of_a_later_version(refusal: Refusal, key: str, value: str) -> None:
    message = refusal(**{key: value})
    assert message.startswith(f"--set {key}: ")
    assert "is not in this version; write " in message


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (
            "scpoe: {}\n",
            "4: scpoe: is not a key; did you mean scope? The keys here are name, timezone, source, ",
        ),
        ("zzz: 1\n", "4: zzz: is not a key; the keys here are name"),
        (
            "scope: {strat: 2025-01-01}\n",
            "4: scope.strat: is not a key; did you mean start? The keys here are start",
        ),
        ("limits: {memory: 1GB}\n", "4: limits.memory: is not a key; did you mean worker_memory? The keys"),
        ("Scope: {}\n", "4: Scope: is not a key; did you mean scope?"),
    ],
)
def test_an_unknown_key_lists_the_known_ones(refusal: Refusal, added: str, expected: str) -> None:
    message = refusal(MINIMAL + added)
    assert message.startswith("configs/orders.yaml:" + expected)
    assert "quarantine" not in message, "keys of later versions are no advice"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "configs/orders.yaml: is empty"),
        ("# nothing\n", "configs/orders.yaml: is empty"),
        ("\n- a\n", "configs/orders.yaml:2: is a list; write a mapping"),
        ("just text", "configs/orders.yaml:1: is text; write a mapping"),
        (
            "name: a\nname: b\n",
            "configs/orders.yaml:2: the key name is written twice, first at configs/orders.yaml:1",
        ),
        ("name: a\nsource:\n  uri: x\n  uri: y\n", "configs/orders.yaml:4: the key uri is written twice"),
        ("name: a\n\tsource: b\n", "configs/orders.yaml:2: not YAML: found character '\\t'"),
        ("name: [a\n", "configs/orders.yaml:2: not YAML: "),
        ("name: a\n---\nname: b\n", "configs/orders.yaml:2: a second document begins here"),
        ("name: !env HOME\n", "configs/orders.yaml:1: the tag !env is not read"),
        ("name: !!int 3\n", "configs/orders.yaml:1: the tag !!int is not read"),
        ("name: *nowhere\n", "configs/orders.yaml:1: the alias *nowhere has no anchor"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", "configs/orders.yaml:3: << is not read"),
        ("? [a, b]\n: c\n", "configs/orders.yaml:1: a list stands where a key is expected"),
        ("name: a\x07b\n", "configs/orders.yaml:1: has a character that YAML does not allow"),
        ("a: " + "[" * 40 + "]" * 40, "configs/orders.yaml:1: is nested more than"),
        ("a: " + "x" * 1_000_001, "configs/orders.yaml: has more than 1,000,000 characters"),
        ("name: orders\nsource: {uri: s3://lake/a}\n", "configs/orders.yaml: target: is missing; add it: "),
        ("name: orders\nsource: {path: a}\n", "configs/orders.yaml:2: source.uri: is missing"),
        ("source: {uri: a}\ntarget: {uri: b}\n", "configs/orders.yaml: name: is missing"),
    ],
)
def test_a_text_that_is_no_config(refusal: Refusal, text: str, expected: str) -> None:
    assert refusal(text).startswith(expected)


def test_deep_nesting_in_one_line_is_an_error_not_a_crash(refusal: Refusal) -> None:
    assert "nested more than" in refusal("a: " + "[" * 5000)


def test_aliases_are_read_and_bombs_are_not(read: Read, refusal: Refusal) -> None:
    text = "name: orders\nsource: {uri: a, storage: &s {region: eu}}\ntarget: {uri: b, storage: *s}\n"
    assert read(text).target.storage == read(text).source.storage == StorageSpec(region="eu")
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 20):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    assert "more than 100,000 values" in refusal(bomb)
    assert "has no anchor" in refusal("a: &a [*a]\n")


def test_scalars_stay_the_text_that_was_written(read: Read) -> None:
    text = MINIMAL + 'scope: {include: {a: [no, 08, 22:30, 1.10, null, ~, 2025-01-01, 0x1f, true, ""]}}\n'
    assert read(text).scope.include == {
        "a": ("no", "08", "22:30", "1.10", "null", "~", "2025-01-01", "0x1f", "true", "")
    }
    assert read(MINIMAL + "transform: {version: 1.10}\n").transform.version == "1.10"


@pytest.mark.parametrize(("written", "value"), PARAMS)
def test_params_follow_yaml_1_2(read: Read, written: str, value: Any) -> None:
    found = read(MINIMAL + f"transform:\n  python: a:b\n  params:\n    p: {written}\n").transform.params["p"]
    assert (found, type(found)) == (value, type(value))


def test_params_not_a_number_and_sorted_mappings(read: Read) -> None:
    params = read(transform="{python: 'a:b', params: {z: .nan, a: {d: 1, c: 2}}}").transform.params
    assert math.isnan(params["z"])
    assert list(params) == ["a", "z"]
    assert list(params["a"]) == ["c", "d"]


@pytest.mark.parametrize(("key", "value", "expected"), REFUSED)
def test_a_value_that_is_refused(refusal: Refusal, key: str, value: str, expected: str) -> None:
    message = refusal(**{key: value})
    assert message.startswith(f"--set {key}")
    assert expected in message


@pytest.mark.parametrize(("key", "value", "path", "expected"), ACCEPTED)
def test_a_value_that_is_read(read: Read, key: str, value: str, path: tuple[str, ...], expected: Any) -> None:
    found: Any = read(**{key: value})
    for name in path:
        found = getattr(found, name)
    assert found == expected


def test_overrides_win_and_leave_the_rest(read: Read) -> None:
    text = (
        MINIMAL
        + "scope: &s {start: 2025-01-01, end: 2025-02-01}\ntransform: {python: 'a:b', params: {vat: 1}}\n"
    )
    spec = read(text, scope__start="2025-01-15", transform__params__vat="0.2", transform__params__new="[x]")
    assert spec.scope.start and spec.scope.start.text == "2025-01-15"
    assert spec.scope.end and spec.scope.end.text == "2025-02-01"
    assert spec.transform.params == {"vat": 0.2, "new": ["x"]}
    assert read(target__storage__endpoint_url="http://localhost:9000").target.storage.endpoint_url


def test_an_override_below_an_alias_changes_one_use_only(read: Read) -> None:
    text = "name: orders\nsource: {uri: a, storage: &s {region: eu}}\ntarget: {uri: b, storage: *s}\n"
    spec = read(text, target__storage__region="us")
    assert (spec.source.storage.region, spec.target.storage.region) == ("eu", "us")


def test_a_fault_in_the_file_below_an_override_has_its_line(refusal: Refusal) -> None:
    text = MINIMAL + "scope:\n  start: tomorrow\n"
    assert refusal(text, scope__end="2025-01-01").startswith("configs/orders.yaml:5: scope.start: tomorrow")


def test_source_and_target_take_the_zone_of_the_file(read: Read) -> None:
    spec = read(timezone="Asia/Tokyo", source__timezone="UTC")
    assert (spec.timezone, spec.source.timezone, spec.target.timezone) == ("Asia/Tokyo", "UTC", "Asia/Tokyo")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("jobs/q.sql", "/project/jobs/q.sql"),
        ("./jobs/../q.sql", "/project/q.sql"),
        ("/project/jobs/q.sql", "/project/jobs/q.sql"),
    ],
)
def test_sql_of_a_file_is_read_in(read: Read, written: str, path: str) -> None:
    spec = read(MINIMAL + f"transform: {{sql: {written}}}\n", files={path: "select * from input\n"})
    assert spec.transform.sql == "select * from input\n"


def test_sql_that_only_ends_like_a_file_is_a_query(read: Read) -> None:
    query = "select x from input where f = a.sql"
    assert read(MINIMAL + f"transform: {{sql: {query}}}\n").transform.sql == query


def test_sql_files_that_cannot_be_used(read: Read, refusal: Refusal) -> None:
    with pytest.raises(SpecError, match="holds no query"):
        read(MINIMAL + "transform: {sql: q.sql}\n", files={"/project/q.sql": "\n"})

    def not_text(path: str) -> str:
        return b"\xff".decode()

    with pytest.raises(SpecError, match=re.escape("q.sql cannot be read: is not UTF-8 text")):
        read_spec(MINIMAL + "transform: {sql: q.sql}\n", where="c.yaml", root="/project/", read_file=not_text)


@settings(max_examples=100)
@given(st.data())
def test_no_text_gets_past_as_another_error(data: st.DataObject) -> None:
    """A config with parts cut out, doubled or replaced is read, or refused with a place."""
    text = yaml.safe_dump(FULL)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.text("{}[]*&!%:-\n\t'\" #0aé\x00/@", max_size=4)) + text[end:]
    try:
        spec = read_spec(text, where="c.yaml", root="/project", read_file=lambda path: "select 1")
    except SpecError as error:
        assert error.where and error.next
    else:
        assert spec_from_document(spec_document(spec)) == spec


def test_a_job_that_only_copies_may_have_a_version(read: Read) -> None:
    assert read(transform="{version: 2}").transform == TransformSpec(version="2")
