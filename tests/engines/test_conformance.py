"""One promise for all engines: every started task comes back once, as a receipt or an error of ours."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raybackfill.checkpoint import Checkpoint
from raybackfill.checkpoint.journal import Batch
from raybackfill.control.running.entries import receipt_entry
from raybackfill.engines import Engine, Outcome
from raybackfill.engines.inline import InlineEngine
from raybackfill.errors import WORKER_LOST, TransientError, UnitError
from raybackfill.model import Receipt, Rows
from raybackfill.paths import RunPaths
from raybackfill.storage.local import LocalStore
from raybackfill.storage.meter import Meter
from tests.engines.tasks import Opening, Work, seen, task


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
        found += engine.wait(1.0)
    return found


def test_every_task_comes_back_once(engine: Engine) -> None:
    waiting = [task(f"good-{number}") for number in range(7)]
    came: list[Outcome] = []
    running = 0
    while waiting or running:
        while waiting and running < engine.capacity():
            engine.start(waiting.pop())
            running += 1
        ended = engine.wait(1.0)
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


def test_without_tasks_waiting_ends(engine: Engine) -> None:
    assert engine.wait(0.01) == []
    assert 1 <= engine.slots() <= engine.capacity()


def test_each_item_that_is_looked_at_comes_back_once_with_what_was_seen(engine: Engine) -> None:
    names = [f"item-{number}" for number in range(9)]
    found = dict(engine.each(seen, iter([*names, "unit_error"])))
    error = found.pop("unit_error")
    assert isinstance(error, UnitError) and str(error) == "some/object: the data is wrong; mend it"
    assert found == {name: f"saw {name}" for name in names}
    assert list(engine.each(seen, [])) == []


def test_a_cancelled_attempt_does_not_come_back(engine: Engine) -> None:
    engine.start(task("good-1"))
    engine.cancel(task("good-1").attempt)
    engine.start(task("good-2"))
    assert [outcome.task.unit.id for outcome in drain(engine, 1)] == ["good-2"]
    assert engine.wait(0.01) == []


@pytest.mark.ray
def test_the_checkpoint_actor_writes_dies_and_goes_on(ray_session: None, tmp_path: Path) -> None:
    """Batches are written once each, whatever becomes of the actor while they are on their way."""
    from raybackfill.engines.ray.checkpoint_actor import ActorSender

    opening = Opening(f"{tmp_path}/state/orders/runs/orders-1")
    sender = ActorSender(opening)
    receipts = [receipt_entry(Receipt(f"u{n}", "1", Rows(read=1), (), 1, 1)) for n in range(9)]
    landed = []
    for number, entry in enumerate(receipts, 1):
        sent = sender.send(Batch("A", number, "2025-01-01T00:00:00Z", (entry,)))
        if number % 3 == 0:
            kill_actor(sender)
        landed.append(sent.result())
    sender.close()
    checkpoint = Checkpoint(LocalStore(Meter()), RunPaths.of_root(opening.root))
    assert checkpoint.ledger.rows.read == 9
    assert sorted(checkpoint.ledger.decided) == [f"u{n}" for n in range(9)]
    sequences = [each.sequence for each in landed]
    assert sequences == sorted(set(sequences))
    assert checkpoint.ledger.epoch > 1


def kill_actor(sender: Any) -> None:
    """SIGKILL to the actor's process, which Ray then starts again."""
    import ray

    pid = ray.get(sender._actor.__ray_call__.remote(lambda actor: os.getpid()))
    os.kill(pid, signal.SIGKILL)


@pytest.mark.ray
def test_a_worker_that_is_killed_while_it_looks_is_transient(ray_session: None) -> None:
    from raybackfill.engines.ray.executor import RayEngine

    engine = RayEngine(Work(), address=None, workers=None)
    found = dict(engine.each(seen, ["killed", "good"]))
    engine.close()
    assert isinstance(found["killed"], TransientError)
    assert found["good"] == "saw good"


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
    assert ended["killed"].error.fault == WORKER_LOST
    assert isinstance(ended["defect"].error, UnitError)
    assert "ZeroDivisionError: not one of ours" in str(ended["defect"].error)
    assert ended["good"].receipt is not None
