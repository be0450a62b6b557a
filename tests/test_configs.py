"""Every config of the project can be read, and planned where its source is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from raybackfill.api import load

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
REAL = ROOT.parent / "shared" / "data"
"""Where configs expect the real inputs; tests may have them elsewhere (see `data_root`)."""


def test_there_are_examples_in_every_kind_of_job() -> None:
    jobs = " ".join(path.read_text() for path in (ROOT / "jobs").iterdir() if path.is_file())
    assert [
        hint for hint in ("pl.LazyFrame", "pa.Table", "pd.DataFrame", "from input") if hint not in jobs
    ] == []


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_read_and_named_like_its_file(config: Path) -> None:
    backfill = load(config)
    assert backfill.spec.name == config.stem
    assert backfill.root == ROOT


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_planned_where_its_source_is(
    config: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = Path(load(config).spec.source.uri)
    if source.is_relative_to(REAL):
        source = request.getfixturevalue("data_root") / source.relative_to(REAL)
    if not source.exists():
        pytest.skip(f"{config.name} reads {source}, which is not here")
    places = {"source.uri": str(source), "target.uri": str(tmp_path / "table")}
    plan = load(config, set=places).plan()
    assert plan.summary["units"]["count"] >= 1
    assert not (tmp_path / "table").exists(), "a plan touches no target"
