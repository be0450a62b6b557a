"""Places: what a URI means, and which places may not lie in one another."""

from __future__ import annotations

import pytest
from spec_samples import Read, Refusal

from raybackfill.errors import SpecError
from raybackfill.spec.locations import is_inside, read_location


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://lake/raw/orders", "s3://lake/raw/orders"),
        ("s3://lake/raw/orders///", "s3://lake/raw/orders"),
        ("s3://lake", "s3://lake"),
        ("s3://lake/", "s3://lake"),
        ("s3://lake/a b/ü", "s3://lake/a b/ü"),
        ("data/raw", "/project/data/raw"),
        ("./data//raw/", "/project/data/raw"),
        ("../data", "/data"),
        (".", "/project"),
        ("/data/raw/", "/data/raw"),
        ("//data/./x/../raw", "/data/raw"),
        ("/", "/"),
        ("file:///data/raw/", "/data/raw"),
        ("file:///data/a%20b", "/data/a b"),
        ("file://localhost/data", "/data"),
        ("FILE:/data", "/data"),
        ("c:x", "/project/c:x"),
    ],
)
def test_a_place_is_absolute_and_has_one_form(text: str, expected: str) -> None:
    assert read_location(text, "/project") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not a place"),
        (" a", "is not a place"),
        ("a\nb", "is not a place"),
        ("s3://", "names no bucket"),
        ("s3:///a", "names no bucket"),
        ("s3://b//x", "names no bucket"),
        ("s3://lake//x", "has an empty segment"),
        ("s3://lake/a/../b", "has . or .. in it"),
        ("s3:/lake/a", "write s3://bucket/prefix"),
        ("s3a://lake/a", "write s3://bucket/prefix"),
        ("S3://lake/a", "write s3://bucket/prefix"),
        ("gs://lake/a", "gs:// is read-only: a target and its state need s3:// or a local folder"),
        ("gs:/lake/a", "is not a place"),
        ("file://host/a", "names no folder of this machine"),
        ("file://a", "names no folder of this machine"),
        ("file:///a%00b", "is not a place"),
        ("~/data", "another folder for each user"),
        ("data/*.csv", "has a pattern in it"),
        ("s3://lake/dt={dt}", "has a pattern in it"),
    ],
)
def test_a_text_that_is_no_place(text: str, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_location(text, "/project")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gs://lake/raw/", "gs://lake/raw"),
        ("GS://lake/raw", "gs://lake/raw"),
        ("abfs://container/raw", "abfs://container/raw"),
        ("sftp://host:22/raw", "sftp://host:22/raw"),
        ("hdfs:///raw", "hdfs:///raw"),
        ("memory://raw", "memory://raw"),
        ("https://example.org/a%20b.csv?x=1", "https://example.org/a%20b.csv?x=1"),
        ("s3://lake/raw/", "s3://lake/raw"),
        ("raw", "/project/raw"),
    ],
)
def test_a_place_that_is_only_read(text: str, expected: str) -> None:
    assert read_location(text, "/project", read_only=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gs://", "names nothing"),
        ("hdfs:///", "names nothing"),
        ("gs:/lake/a", "is not a place"),
        ("c:/a", "is not a place"),
        ("gs://lake//a", "has an empty segment"),
        ("gs://lake/../a", "has . or .. in it"),
        ("gs://lake/*.csv", "has a pattern in it"),
        ("zip://a.csv::https://example.org/a.zip", "chains filesystems"),
        ("local:///data", "is not a place"),
        ("s3a://lake/a", "write s3://bucket/prefix"),
        ("s3:///a", "names no bucket"),
    ],
)
def test_a_text_that_is_no_place_to_read(text: str, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_location(text, "/project", read_only=True)
    assert expected in str(caught.value)


def test_other_filesystems_are_read_and_never_written(read: Read, refusal: Refusal) -> None:
    spec = read(
        places("gs://lake/raw", "/gold/orders"),
        transform="{python: 'jobs.orders:revenue', tables: {rates: {uri: 'https://example.org/rates.csv'}}}",
    )
    assert spec.source.uri == "gs://lake/raw"
    assert spec.transform.tables["rates"].uri == "https://example.org/rates.csv"
    assert spec.state == "/gold/_raybackfill"
    told = "gs:// is read-only: a target and its state need s3:// or a local folder"
    assert f"target.uri: {told}" in refusal(places("/a", "gs://lake/gold"))
    assert f"state: {told}" in refusal(places("/a", "/b", "gs://lake/state"))


def test_settings_of_s3_do_not_reach_another_filesystem(refusal: Refusal) -> None:
    text = places("gs://lake/raw", "/gold/orders")
    assert "source.storage: is about s3://" in refusal(text, source__storage__anonymous="true")


def test_inside_goes_by_segments() -> None:
    assert is_inside("/a/b/c", "/a/b")
    assert is_inside("/a", "/")
    assert is_inside("s3://lake/a", "s3://lake")
    assert not is_inside("/a/bc", "/a/b")
    assert not is_inside("/a/b", "/a/b")


def places(source: str, target: str, state: str | None = None) -> str:
    state_line = f"state: {state}\n" if state else ""
    return f"name: orders\nsource: {{uri: {source}}}\ntarget: {{uri: {target}}}\n{state_line}"


@pytest.mark.parametrize(
    ("source", "target", "state", "expected"),
    [
        ("/a/b", "/a/bc", None, "/a/_raybackfill"),
        ("/a/b", "/a/b", None, "/a/_raybackfill"),
        ("a", "/b", None, "/_raybackfill"),
        ("s3://lake/a", "s3://lake/b", None, "s3://lake/_raybackfill"),
        ("s3://lake/a", "/b", "states", "/project/states"),
        ("s3://lake/a", "s3://lake/b", "s3://lake/a/_raybackfill/x", "s3://lake/a/_raybackfill/x"),
        ("/a/b", "/a/c", "/a/b/.state", "/a/b/.state"),
        ("/a/b", "/a/c", "/a/cd", "/a/cd"),
    ],
)
def test_places_that_are_apart(
    read: Read, source: str, target: str, state: str | None, expected: str
) -> None:
    assert read(places(source, target, state)).state == expected


@pytest.mark.parametrize(
    ("source", "target", "state", "expected"),
    [
        ("/a", "/a/b", None, "target.uri: /a/b is inside the source /a"),
        ("/a/b/c.csv", "/a/b", None, "target.uri: /a/b holds the source /a/b/c.csv"),
        ("s3://lake", "s3://lake/gold", None, "is inside the source s3://lake"),
        ("/a/b", "/", None, "/ has no folder around it"),
        ("/a/b", "s3://gold", None, "such as s3://gold/table"),
        ("/a/b", "s3://gold", "s3://other/state", "s3://gold has no folder around it"),
        ("/a/b", "/x/_raybackfill", None, "is in a folder for state"),
        ("/a/b", "/x/y", "/x/y", "state: /x/y is in the target"),
        ("/a/b", "/x/y", "/x/y/_state", "state: /x/y/_state is in the target"),
        ("/a/b", "/x/y", "/x", "state: /x holds the target /x/y"),
        ("/a/b", "/a/b", "/a/b/_state", "is in the target"),
        ("/a/b", "/x/y", "/a/b/state", "state: /a/b/state is inside the source /a/b"),
        ("/a/b", "/x/y", "/a/b", "holds the source"),
        ("/a/b", "/x/y", "/a", "state: /a holds the source /a/b"),
        ("/a/b", "s3://lake/y", "/x", "is in another store than the target"),
    ],
)
def test_places_that_are_refused(
    refusal: Refusal, source: str, target: str, state: str | None, expected: str
) -> None:
    message = refusal(places(source, target, state))
    assert message.startswith("configs/orders.yaml:")
    assert expected in message


def test_one_name_at_two_endpoints_is_two_places(read: Read, refusal: Refusal) -> None:
    text = places("s3://lake/a", "s3://lake/a")
    one, two = "http://one:9000", "http://two:9000"
    assert read(text).in_place
    assert not read(text, source__storage__endpoint_url=one, target__storage__endpoint_url=two).in_place
    assert "are they the same store?" in refusal(text, source__storage__endpoint_url=one)
