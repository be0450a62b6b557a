"""A driver's sign of life: there while he works, gone when he ends, and never another's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from raybackfill.control.running.liveness import GONE_SECONDS, is_live
from raybackfill.observe.presence import Presence, last_sign
from raybackfill.paths import RunPaths
from raybackfill.storage.memory import MemoryStore

PATHS = RunPaths("/state", "orders", "orders-1")


def test_a_driver_is_seen_while_he_works_and_not_afterwards() -> None:
    store = MemoryStore()
    with Presence(store, PATHS, "A"):
        sign = last_sign(store, PATHS, datetime.now(UTC))
        assert sign is not None
        assert (sign.driver, sign.host, sign.pid) == ("A", socket.gethostname(), os.getpid())
        assert is_live("running", sign)
    assert last_sign(store, PATHS, datetime.now(UTC)) is None


def test_a_driver_that_was_overtaken_leaves_the_sign_of_who_took_over() -> None:
    store = MemoryStore()
    with Presence(store, PATHS, "A"):
        second = Presence(store, PATHS, "B")
        second.__enter__()
    sign = last_sign(store, PATHS, None)
    assert sign is not None
    assert sign.driver == "B"
    second.__exit__()
    assert last_sign(store, PATHS, None) is None


def test_an_old_sign_is_of_nobody_by_the_stores_clock() -> None:
    store = MemoryStore()
    with Presence(store, PATHS, "A"):
        later = datetime.now(UTC) + timedelta(seconds=GONE_SECONDS + 1)
        assert not is_live("running", last_sign(store, PATHS, later))


def test_a_process_of_this_machine_that_is_no_more_is_known_to_be_dead() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    store = MemoryStore()
    store.put(
        PATHS.driver,
        f'{{"driver": "A", "host": "{socket.gethostname()}", "pid": {ended.pid}, "running": 3}}'.encode(),
    )
    sign = last_sign(store, PATHS, None)
    assert sign is not None
    assert sign.has_died
    assert not is_live("running", sign)
