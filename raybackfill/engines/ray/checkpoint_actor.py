"""The checkpoint actor: writes the journal, so that the driver goes on while a batch becomes durable.

It is a cache over object storage and keeps nothing of its own: when it dies, Ray starts it again, and
it reads where the journal ends. Each of its starts is a new writer with an epoch record.
"""

from __future__ import annotations

from typing import Any

import ray
from ray import exceptions

from raybackfill.checkpoint.journal import Batch, JournalWriter, Landed
from raybackfill.engines import OpenWriter
from raybackfill.errors import RaybackfillError, TransientError


class CheckpointActor:
    def __init__(self, open_writer: OpenWriter) -> None:
        self._open_writer = open_writer
        self._writer: JournalWriter | None = None

    def append(self, batch: Batch) -> Landed | RaybackfillError:
        try:
            if self._writer is None:
                self._writer = self._open_writer()
            return self._writer.append(batch)
        except RaybackfillError as error:
            # Given back, not raised: Ray would wrap it, and its text with it.
            return error


class ActorSender:
    """Sends batches to an actor of this driver's own: two drivers never share one."""

    def __init__(self, open_writer: OpenWriter) -> None:
        # Calls that come before it is ready, or while it starts again, wait and are made again: a batch
        # that stands in the journal already is known by its number.
        actor_class = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(CheckpointActor)
        self._actor = actor_class.remote(open_writer)

    def send(self, batch: Batch) -> Sending:
        return Sending(self._actor.append.remote(batch))

    def close(self) -> None:
        ray.kill(self._actor)


class Sending:
    """A batch on its way through the actor."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    def has_ended(self) -> bool:
        ready, _ = ray.wait([self._reference], timeout=0)
        return bool(ready)

    def result(self) -> Landed:
        try:
            answer = ray.get(self._reference)
        except exceptions.RayError as error:
            raise TransientError(f"the checkpoint actor did not answer ({type(error).__name__})") from error
        if isinstance(answer, RaybackfillError):
            raise answer
        landed: Landed = answer
        return landed
