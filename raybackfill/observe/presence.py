"""A driver's sign of life: a small object, written again and again while he works on a run."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from threading import Event, Thread
from typing import Any

from raybackfill.control.running.liveness import ALIVE_SECONDS, Sign
from raybackfill.errors import RaybackfillError
from raybackfill.observe import Silent
from raybackfill.paths import RunPaths
from raybackfill.storage import ObjectStore

# By then the first units are under way, which those who look early want to see.
FIRST_SECONDS = 1.0


class Presence(Silent):
    """While it is open, others see that this driver lives, and how many units he has under way."""

    def __init__(self, store: ObjectStore, paths: RunPaths, driver: str) -> None:
        self._store = store
        self._key = paths.driver
        self._driver = driver
        self._running = 0
        self._ended = Event()
        self._thread = Thread(target=self._say_so_again, name="raybackfill-presence", daemon=True)

    def __enter__(self) -> Presence:
        self._say_so()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        # A sign that is left behind only makes the next driver wait for it to grow old; one of a driver
        # who took over stays.
        with suppress(RaybackfillError):
            if json.loads(self._store.read(self._key).to_pybytes())["driver"] == self._driver:
                self._store.delete(self._key)

    def started(self, unit: str, attempt: str, why: str) -> None:
        self._running += 1

    def ended(self, unit: str, attempt: str, error: object, lines: object) -> None:
        self._running -= 1

    def _say_so_again(self) -> None:
        wait_seconds = FIRST_SECONDS
        while not self._ended.wait(wait_seconds):
            # A store that does not answer is met by the work itself, which says so.
            with suppress(RaybackfillError):
                self._say_so()
            wait_seconds = ALIVE_SECONDS

    def _say_so(self) -> None:
        sign = {
            "format": "driver/1",
            "driver": self._driver,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "running": self._running,
        }
        self._store.put(self._key, json.dumps(sign).encode())


def last_sign(store: ObjectStore, paths: RunPaths, now: datetime | None) -> Sign | None:
    """The last sign of life of a run's driver. `now` is the time by the store's clock; without one, a
    sign is taken for fresh."""
    page = store.page(paths.driver)
    if not page.objects.num_rows:
        return None
    content = json.loads(store.read(paths.driver).to_pybytes())
    modified = page.objects["modified"][0].as_py()
    age = (now - modified).total_seconds() if now is not None and modified is not None else 0.0
    return Sign(
        driver=content["driver"],
        host=content["host"],
        pid=content["pid"],
        age_seconds=max(age, 0.0),
        running=content["running"],
        has_died=_has_died(content),
    )


def _has_died(content: Mapping[str, Any]) -> bool:
    """Whether the process was one of this machine's and is no more. Elsewhere only time tells."""
    if content["host"] != socket.gethostname():
        return False
    try:
        os.kill(content["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
