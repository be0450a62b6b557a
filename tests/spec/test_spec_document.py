"""The spec as a document: the same spec comes back, through JSON too."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from spec_samples import FULL, Read

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
    spec_document,
    spec_from_document,
)

texts = st.text(max_size=8)
types = st.dictionaries(texts, texts, max_size=3)
values = st.dictionaries(texts, st.lists(texts, max_size=3).map(tuple), max_size=3)
counts = st.integers(0, 2**60)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
keys = texts | st.sampled_from(["$float", "$map", "$"])
params = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
storages = st.builds(
    StorageSpec, st.none() | texts, st.none() | texts, st.none() | texts, st.booleans(), st.none() | texts
)
sources = st.builds(
    SourceSpec,
    texts,
    texts,
    st.none() | texts,
    types,
    st.none() | texts,
    storages,
    st.builds(CsvSpec, texts, st.booleans(), texts, texts),
    texts,
)
moments = st.none() | st.builds(Moment, st.integers(-(2**55), 2**55), texts, st.booleans())
scopes = st.builds(ScopeSpec, moments, moments, st.none() | texts, values, values, counts)
transforms = st.builds(
    TransformSpec,
    st.none() | texts,
    st.none() | texts,
    texts,
    st.dictionaries(keys, params, max_size=3),
    st.dictionaries(texts, st.builds(TableSpec, texts, texts, st.none() | texts, types), max_size=2),
    texts,
)
targets = st.builds(
    TargetSpec,
    texts,
    texts,
    st.lists(st.builds(PartitionField, texts, st.none() | texts), max_size=3).map(tuple),
    texts,
    texts,
    texts,
    types,
    st.lists(texts, max_size=3).map(tuple),
    counts,
    storages,
    texts,
    allow_duplicates=st.booleans(),
)
queries = st.builds(QuerySpec, texts, st.none() | texts, st.none() | texts)
reconciles = st.builds(ReconcileSpec, queries, queries, st.lists(texts, max_size=2).map(tuple), texts)
specs = st.builds(
    BackfillSpec,
    texts,
    sources,
    targets,
    texts,
    texts,
    scopes,
    transforms,
    texts,
    st.builds(LimitsSpec, counts, st.none() | counts),
    st.builds(RetriesSpec, counts, st.floats(0, 1)),
    st.builds(VerifySpec, texts, st.lists(reconciles, max_size=2).map(tuple)),
    shrink=st.floats(0, 1),
    publish=texts,
)


@given(specs)
def test_a_spec_comes_back_from_strict_json(spec: BackfillSpec) -> None:
    written = json.dumps(spec_document(spec), allow_nan=False)
    assert spec_from_document(json.loads(written)) == spec


def test_the_full_config_comes_back(read: Read) -> None:
    spec = read(yaml.safe_dump(FULL))
    back = spec_from_document(json.loads(json.dumps(spec_document(spec))))
    assert back == spec
    assert isinstance(back.target.partition_by[0], PartitionField)


def test_nan_and_types_of_params_survive() -> None:
    given: dict[str, Any] = {"n": math.nan, "i": 1, "f": 1.0, "b": True, "z": -0.0}
    spec = BackfillSpec("a", SourceSpec("s"), TargetSpec("t"), "st", transform=TransformSpec(params=given))
    back = spec_from_document(json.loads(json.dumps(spec_document(spec), allow_nan=False))).transform.params
    assert math.isnan(back.pop("n")) and math.copysign(1, back["z"]) == -1  # type: ignore[attr-defined]
    assert {name: type(value) for name, value in back.items()} == {
        "i": int,
        "f": float,
        "b": bool,
        "z": float,
    }


def test_equal_specs_give_the_same_bytes(read: Read) -> None:
    head = "name: orders\nsource: {uri: a, schema: {x: int64, y: string}}\ntarget: {uri: b}\n"
    one = (
        head
        + "transform: {python: 'a:b', params: {x: {c: 1, d: 2}, y: 2}}\nscope: {include: {b: [1], a: [2]}}\n"
    )
    two = (
        "scope: {include: {a: 2, b: 1}}\ntransform: {params: {y: 2, x: {d: 2, c: 1}}, python: 'a:b'}\n"
        "target: {uri: ./b/}\nsource: {schema: {y: string, x: int64}, uri: /project/a}\nname: 'orders'\n"
    )
    assert json.dumps(spec_document(read(one))) == json.dumps(spec_document(read(two)))


def test_a_document_of_another_version_is_refused(read: Read) -> None:
    document = spec_document(read())
    for change in ({"format": "spec/2"}, {"format": None}, {"later": 1}):
        with pytest.raises(SpecError, match="plan again"):
            spec_from_document({**document, **change})
    short = copy.deepcopy(document)
    del short["source"]["csv"]["null"]
    with pytest.raises(SpecError, match="CsvSpec has other keys than this version: null"):
        spec_from_document(short)


def test_a_document_from_before_keys_of_publishing_means_their_defaults(read: Read) -> None:
    document = spec_document(read())
    assert (document.pop("shrink"), document.pop("publish")) == (0.5, "end")
    assert document["target"].pop("allow_duplicates") is False
    assert spec_from_document(document) == read()


def test_a_document_from_before_a_key_came_means_its_default(read: Read) -> None:
    document = spec_document(read())
    assert document.pop("verify") == {"read_back": "full", "reconcile": []}
    assert spec_from_document(document) == read()
    assert spec_from_document({**document, "verify": {"read_back": "none", "reconcile": []}}) != read()
