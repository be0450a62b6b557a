"""What of a scope can be asked of source rows, and bounds that the paths cannot answer."""

from __future__ import annotations

import pyarrow as pa
import pytest

from raybackfill.control.planning.narrowing import narrowed, refuse_bounds_within_a_piece, without_times
from raybackfill.control.planning.scope import Scope
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.errors import SpecError
from raybackfill.spec import ScopeSpec, read_moment


def scope(start: str | None, end: str | None = None, column: str = "dt", zone: str = "UTC") -> Scope:
    bounds = [None if text is None else read_moment(text, zone) for text in (start, end)]
    include = {"shop": ("a",), "made_by_the_job": ("x",)}
    return Scope(ScopeSpec(bounds[0], bounds[1], column, include), column, zone)


def test_only_columns_that_the_rows_have_are_asked() -> None:
    full = scope("2025-01-01")
    assert narrowed(full, pa.schema([("dt", pa.date32()), ("shop", pa.string())])).needs == {"dt", "shop"}
    assert narrowed(full, pa.schema([("dt", pa.string())])).needs == set()
    assert without_times(full).needs == {"shop", "made_by_the_job"}


@pytest.mark.parametrize(
    ("path", "start", "zone", "fits"),
    [
        ("dt={dt:%Y-%m-%d}/*", "2025-01-10", "UTC", True),
        ("dt={dt:%Y-%m-%d}/*", "2025-01-10T06:00", "UTC", False),
        ("{dt:%Y-%m}.csv", "2025-01-10", "UTC", False),
        ("{dt:%Y-%m}.csv", "2025-02-01", "UTC", True),
        ("{dt:%Y}/*", "2025-02-01", "UTC", False),
        ("dt={dt:%Y-%m-%d}/hour={dt:%H}/*", "2025-01-10T06:00", "UTC", True),
        ("dt={dt:%Y-%m-%d}/hour={dt:%H}/*", "2025-01-10T06:30", "UTC", False),
        ("dt={dt:%Y-%m-%d}/*", "2025-03-30", "Europe/Berlin", True),
        ("dt={dt:%Y-%m-%d}/*", "2018-11-04", "America/Sao_Paulo", True),
    ],
)
def test_bounds_within_a_piece_of_the_path_are_refused(path: str, start: str, zone: str, fits: bool) -> None:
    template = PathTemplate.parse(path, zone)
    for asked in (scope(start, zone=zone), scope(None, start, zone=zone)):
        if fits:
            refuse_bounds_within_a_piece(asked, template, pa.schema([]))
            continue
        with pytest.raises(SpecError, match=r"lies within a (day|month|year|hour)"):
            refuse_bounds_within_a_piece(asked, template, pa.schema([]))
        refuse_bounds_within_a_piece(asked, template, pa.schema([("dt", pa.timestamp("us"))]))


def test_another_column_than_the_paths_time_is_not_their_business() -> None:
    template = PathTemplate.parse("{dt:%Y-%m}.csv", "UTC")
    refuse_bounds_within_a_piece(scope("2025-01-10", column="ts"), template, pa.schema([("ts", pa.date32())]))
