"""What is taken for ASCII is, whatever part of an array is looked at; all else is looked at letter by letter."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybackfill.control.arrow.ascii import is_ascii


@given(
    st.lists(st.none() | st.text(max_size=4), max_size=8),
    st.integers(0, 8),
    st.integers(0, 8),
    st.sampled_from([pa.string(), pa.large_string()]),
)
def test_texts_are_ascii_or_not(texts: list[str | None], start: int, count: int, kind: pa.DataType) -> None:
    part = pa.array(texts, kind).slice(start, count)
    found = is_ascii(pa.chunked_array([part]))
    assert found == all(text is None or text.isascii() for text in part.to_pylist())


def test_bytes_that_are_no_utf8_are_never_taken_for_ascii() -> None:
    bad = pa.array([b"fine", b"\xff\xfe"], pa.binary()).cast(pa.string(), safe=False)
    assert not is_ascii(pa.chunked_array([bad]))
    assert is_ascii(pa.chunked_array([bad.slice(0, 1)]))


@pytest.mark.parametrize(
    "kind", [pa.string_view(), pa.list_(pa.string()), pa.dictionary(pa.int32(), pa.string())]
)
def test_what_does_not_lie_in_one_row_is_left_to_others(kind: pa.DataType) -> None:
    assert not is_ascii(pa.chunked_array([pa.array([None], kind)]))
