"""Templates guessed for a new config: they fit what lies there."""

from __future__ import annotations

import pytest

from raybackfill.control.planning.guessing import guess_template


@pytest.mark.parametrize(
    ("keys", "template"),
    [
        (["dt=2025-01-01/a.parquet", "dt=2025-01-02/b.parquet"], "dt={dt:%Y-%m-%d}/*"),
        (["dt=2025-01-01/hour=05/a", "dt=2025-01-02/hour=23/b"], "dt={dt:%Y-%m-%d}/hour={dt:%H}/*"),
        (["year=2025/month=01/day=31/x.csv"], "year={ts:%Y}/month={ts:%m}/day={ts:%d}/*"),
        (["year=2025/month=1/x.csv", "year=2025/month=12/x.csv"], "year={ts:%Y}/month={ts:%-m}/*"),
        (["region=eu/a.csv", "region=us/b.csv"], "region=*/*"),
        (["2010-12-01.csv.gz", "2010-12-02.csv.gz"], "{ts:%Y-%m-%d}.csv.gz"),
        (["trips_2019-01.csv", "trips_2020-12.csv"], "trips_{ts:%Y-%m}.csv"),
        (["export-20250131-7.jsonl", "export-20250201-12.jsonl"], "export-{ts:%Y%m%d}-*.jsonl"),
        (["a.parquet", "b.parquet"], "*"),
        (["a.parquet", "deep/b.parquet"], "**"),
        ([], "**"),
    ],
)
def test_a_template_that_fits_is_guessed(keys: list[str], template: str) -> None:
    assert guess_template(keys) == template
