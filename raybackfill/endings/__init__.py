"""What becomes of a run after its publish: it is taken back, or closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from raybackfill.checkpoint.recorder import LocalSender, Recorder
from raybackfill.clock import system_clock
from raybackfill.control.running.entries import state_entry
from raybackfill.observe import Listener
from raybackfill.observe.presence import Presence
from raybackfill.runs import OpenedRun
from raybackfill.worker import new_writer


@contextmanager
def recording(run: OpenedRun, listener: Listener, *, take_over: bool) -> Iterator[tuple[Recorder, list[str]]]:
    """Be the run's driver: its journal is written from here meanwhile. With what the stores lack, in words.
    FencedError while another driver seems to live, unless `take_over`."""
    clock = system_clock()
    now, missing = run.look_at_stores()
    if not take_over:
        run.refuse_live(now)
    for lack in missing:
        listener.say(f"the store has no {lack}")
    driver, checkpoint = clock.new_id(), run.checkpoint()
    local = LocalSender(new_writer(checkpoint.journal, driver))
    with Presence(run.stores.state, run.paths, driver):
        local.begin(clock.now())
        yield Recorder(checkpoint, driver, local, clock), missing


def enter(recorder: Recorder, state: str, *, version: int | None = None) -> None:
    """Record the run's new state. A move that cannot be is refused before it is written."""
    recorder.ledger.check_move(state)
    recorder.hand_in(state_entry(state, version=version))
    recorder.settle()
