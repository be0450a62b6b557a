"""What the tests of the config share: reading a text as `configs/orders.yaml` of a project."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from spec_samples import MINIMAL, Read, Refusal

from raybackfill.errors import SpecError
from raybackfill.spec import BackfillSpec, read_spec


@pytest.fixture
def read() -> Read:
    def read(text: str = MINIMAL, files: Mapping[str, str] | None = None, **overrides: str) -> BackfillSpec:
        def read_file(path: str) -> str:
            if path not in (files or {}):
                raise FileNotFoundError(2, "No such file or directory", path)
            return (files or {})[path]

        dotted = {key.replace("__", "."): value for key, value in overrides.items()}
        return read_spec(
            text, where="configs/orders.yaml", root="/project", overrides=dotted, read_file=read_file
        )

    return read


@pytest.fixture
def refusal(read: Read) -> Refusal:
    """The message with which a config is refused; a config that is accepted fails the test."""

    def refusal(text: str = MINIMAL, **overrides: str) -> str:
        with pytest.raises(SpecError) as caught:
            read(text, **overrides)
        assert caught.value.where, "a refusal says where"
        assert caught.value.next, "a refusal says what to do"
        return str(caught.value)

    return refusal
