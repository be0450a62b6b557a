"""Conditions of copies and deletes on an S3 that keeps them, on one that does not know them, and lost replies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator

import pytest

from raybackfill.errors import IntegrityError
from raybackfill.spec.values import StorageSpec
from raybackfill.storage import ObjectInfo
from raybackfill.storage.s3 import S3Store
from tests.storage.scripted import Answer, error, serving


def tag_of(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class Objects:
    """Keeps objects, with conditions as S3 does. `meanwhile` acts once before the next copy or delete, as
    somebody does who comes after we looked; `loses` the reply of it; `knows` no conditions, and says so."""

    def __init__(self) -> None:
        self.data = {"/b/source": b"new", "/b/target": b"old"}
        self.meanwhile: Callable[[], None] | None = None
        self.loses = False
        self.knows = True
        self.changes = 0

    def __call__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        path = path.partition("?")[0]
        if method not in ("PUT", "DELETE"):
            there = self.data.get(path)
            return error(404, "NoSuchKey") if there is None else Answer(200, there, self._tag(there))
        self.changes += 1
        act, self.meanwhile = self.meanwhile, None
        if act is not None:
            act()
        refusal = self._refusal(path, headers)
        if refusal is not None:
            return refusal
        if method == "DELETE":
            self.data.pop(path, None)
            return Answer(204)
        self.data[path] = self.data["/" + headers["x-amz-copy-source"]]
        lost, self.loses = self.loses, False
        text = f"<CopyObjectResult><ETag>&quot;{tag_of(self.data[path])}&quot;</ETag></CopyObjectResult>"
        return Answer(0) if lost else Answer(200, text.encode())

    def _refusal(self, path: str, headers: dict[str, str]) -> Answer | None:
        there = self.data.get(path)
        asked = headers.get("if-match"), headers.get("if-none-match")
        if any(asked) and not self.knows:
            return error(501, "NotImplemented")
        source = headers.get("x-amz-copy-source")
        if source and headers["x-amz-copy-source-if-match"].strip('"') != tag_of(self.data["/" + source]):
            return error(412, "PreconditionFailed")
        if asked[0] and (there is None or asked[0].strip('"') != tag_of(there)):
            return error(404, "NoSuchKey") if there is None else error(412, "PreconditionFailed")
        return error(412, "PreconditionFailed") if asked[1] and there is not None else None

    def put(self, name: str, data: bytes | None) -> Callable[[], None]:
        def act() -> None:
            self.data.pop(name, None)
            if data is not None:
                self.data[name] = data

        return act

    def _tag(self, data: bytes) -> dict[str, str]:
        return {"ETag": f'"{tag_of(data)}"'}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    yield Objects()


def copied(server: Objects, **conditions: object) -> ObjectInfo | None:
    with serving(server) as url:
        store = S3Store(StorageSpec(endpoint_url=url), pause=lambda _: None)
        return store.copy("b/source", "b/target", **conditions)  # type: ignore[arg-type]


OLD, NEW = tag_of(b"old"), tag_of(b"new")


@pytest.mark.parametrize("there", [b"somebody's", None])
def test_what_comes_after_the_look_is_not_overwritten(server: Objects, there: bytes | None) -> None:
    server.meanwhile = server.put("/b/target", there)
    assert copied(server, tag=NEW, replaces=OLD) is None
    assert server.data.get("/b/target") == there
    assert server.changes == 1


def test_what_is_made_after_the_look_is_not_overwritten(server: Objects) -> None:
    del server.data["/b/target"]
    server.meanwhile = server.put("/b/target", b"somebody's")
    assert copied(server, create=True) is None
    assert server.data["/b/target"] == b"somebody's"


def test_a_source_that_changes_after_the_look_is_not_copied(server: Objects) -> None:
    server.meanwhile = server.put("/b/source", b"other")
    with pytest.raises(IntegrityError, match="changed"):
        copied(server, tag=NEW, replaces=OLD)
    assert server.data["/b/target"] == b"old"


def test_a_copy_refused_by_itself_has_succeeded(server: Objects) -> None:
    server.loses = True
    made = copied(server, replaces=OLD)
    assert made is not None and made.tag == NEW
    assert server.changes == 2


def test_a_store_that_does_not_know_the_conditions_is_looked_at(server: Objects) -> None:
    server.knows = False
    assert copied(server, replaces=NEW) is None
    assert copied(server, create=True) is None
    assert server.changes == 0
    made = copied(server, replaces=OLD)
    assert made is not None and server.data["/b/target"] == b"new"


def test_only_the_object_that_was_seen_is_deleted(server: Objects) -> None:
    with serving(server) as url:
        store = S3Store(StorageSpec(endpoint_url=url))
        assert not store.delete("b/target", tag=NEW)
        server.meanwhile = server.put("/b/target", b"somebody's")
        assert not store.delete("b/target", tag=OLD)
        assert server.data["/b/target"] == b"somebody's"
        assert store.delete("b/target", tag=tag_of(b"somebody's"))
        assert "/b/target" not in server.data
        assert store.delete("b/target", tag=OLD)


def test_the_probe_sees_which_store_keeps_them(server: Objects) -> None:
    with serving(server) as url:
        store = S3Store(StorageSpec(endpoint_url=url))
        for tag, replaces in ((NEW, None), (NEW, NEW), (OLD, OLD)):
            assert store.refuses_copy("b/source", "b/target", tag=tag, replaces=replaces, parts=False)
        assert store.refuses_delete("b/target", tag=NEW)
        assert server.data["/b/target"] == b"old"
        server.knows = False
        assert not store.refuses_copy("b/source", "b/target", tag=NEW, replaces=None, parts=False)
        assert not store.refuses_delete("b/target", tag=OLD)
        assert server.data == {"/b/source": b"new"}
