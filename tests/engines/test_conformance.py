"""One promise for all engines: every started task comes back once, as a receipt or an error of ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from raybackfill.engines import Engine, Outcome
from raybackfill.engines.inline import InlineEngine
from raybackfill.errors import TransientError, UnitError
from tests.engines.tasks import Work, task


@pytest.fixture(params=["inline", pytest.param("ray", marks=pytest.mark.ray)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "inline":
        made: Engine = InlineEngine(Work())
    else:
        request.getfixturevalue("ray_session")
        from raybackfill.engines.ray.executor import RayEngine

        made = RayEngine(Work(), address=None, workers=None)
    yield made
    made.close()


def drain(engine: Engine, count: int) -> list[Outcome]:
    found: list[Outcome] = []
    while len(found) < count:
        found += engine.wait()
    return found


def test_every_task_comes_back_once(engine: Engine) -> None:
    waiting = [task(f"good-{number}") for number in range(7)]
    came: list[Outcome] = []
    running = 0
    while waiting or running:
        while waiting and running < engine.capacity():
            engine.start(waiting.pop())
            running += 1
        ended = engine.wait()
        running -= len(ended)
        came += ended
    assert sorted(o.task.unit.id for o in came) == [f"good-{number}" for number in range(7)]
    assert all(o.receipt is not None and o.receipt.attempt == o.task.attempt for o in came)


def test_an_error_of_ours_comes_back_as_it_was_raised(engine: Engine) -> None:
    engine.start(task("unit_error"))
    (outcome,) = drain(engine, 1)
    assert outcome.receipt is None
    assert isinstance(outcome.error, UnitError)
    assert str(outcome.error) == "some/object: the data is wrong; mend it"


@pytest.mark.ray
def test_a_killed_worker_is_transient_and_a_defect_is_the_units(ray_session: None) -> None:
    from raybackfill.engines.ray.executor import RayEngine

    engine = RayEngine(Work(), address=None, workers=None)
    for unit in ("killed", "defect", "good"):
        engine.start(task(unit))
    ended = {outcome.task.unit.id: outcome for outcome in drain(engine, 3)}
    engine.close()
    assert isinstance(ended["killed"].error, TransientError)
    assert "worker was lost" in str(ended["killed"].error)
    assert isinstance(ended["defect"].error, UnitError)
    assert "ZeroDivisionError: not one of ours" in str(ended["defect"].error)
    assert ended["good"].receipt is not None
