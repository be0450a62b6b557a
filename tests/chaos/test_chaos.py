"""Two seeds of chaos in every run of the tests; `make chaos` has as many as one likes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.harms import Clusters
from tests.chaos.seeds import play, quiet_table

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    pytest.importorskip("ray", reason="ray is not installed")
    made = Clusters()
    yield made
    made.shutdown()


def test_a_lost_node_a_killed_actor_and_a_killed_driver_change_nothing(clusters: Clusters) -> None:
    expected = quiet_table()
    for seed in (3, 6):
        seen = play(seed, clusters, expected)
        assert seen.done, seen
        assert seen.epochs > 2
