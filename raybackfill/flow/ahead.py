"""Reads ahead of hop 3: what is fetched over a network comes while the rows before it are worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from raybackfill.model import Piece

Item = TypeVar("Item")

# A request's latency is hidden by others: so many small objects at once, and no more than a batch's
# worth of rows ahead of those that are worked on.
PIECES_AHEAD = 8
SMALL_BYTES = 4_000_000
_END = object()


def read_ahead(
    pieces: Iterable[Piece], read: Callable[[Piece], Iterable[Item]]
) -> Iterator[tuple[Piece, Item]]:
    """Each piece's items, in order, as if read one after the other: small pieces are read several at
    a time, of a large one the next item while the last is worked on. Memory: the small pieces ahead
    (PIECES_AHEAD times SMALL_BYTES decoded) or one item. The first error is raised in its turn."""
    with ThreadPoolExecutor(PIECES_AHEAD) as pool:
        waiting: deque[tuple[Piece, Future[list[Item]]]] = deque()
        try:
            for piece in pieces:
                if piece.decoded_bytes > SMALL_BYTES:
                    yield from _ended(waiting, leave=0)
                    yield from ((piece, item) for item in _one_ahead(iter(read(piece)), pool))
                    continue
                waiting.append((piece, pool.submit(lambda each: list(read(each)), piece)))
                yield from _ended(waiting, leave=PIECES_AHEAD)
            yield from _ended(waiting, leave=0)
        finally:
            for _, future in waiting:
                future.cancel()


def _ended(waiting: deque[tuple[Piece, Future[list[Item]]]], *, leave: int) -> Iterator[tuple[Piece, Item]]:
    while len(waiting) > leave:
        piece, future = waiting.popleft()
        for item in future.result():
            yield piece, item


def _one_ahead(items: Iterator[Item], pool: ThreadPoolExecutor) -> Iterator[Item]:
    coming: Future[object] = pool.submit(next, items, _END)
    while (item := coming.result()) is not _END:
        coming = pool.submit(next, items, _END)
        yield item  # type: ignore[misc]
