"""Decides which prefixes to list, and brings their pages together in key order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.storage import LISTING, ObjectStore, Page
from raybackfill.storage.parallel import all_results

WORKERS = 16
GROUPS_MIN = 4 * WORKERS
"""Enough prefixes that the workers end at about the same time, however uneven the folders are."""


@dataclass(frozen=True)
class _Level:
    """What was found down to one depth: its objects, its folders kept, all folders dropped so far."""

    objects: list[pa.Table] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def every_folder(folder: str) -> bool:
    return True


def list_folders(store: ObjectStore, prefix: str) -> list[str]:
    """The folders directly below a prefix (which ends in "/"), each a key ending in "/", in order."""
    return [folder for page in _pages(store, prefix, folders=True) for folder in page.folders]


def list_objects(
    store: ObjectStore, prefix: str, keep_folder: Callable[[str], bool] = every_folder
) -> pa.Table:
    """All objects (LISTING) whose key starts with `prefix`, sorted by key.

    Folders (each a key ending in "/") for which `keep_folder` is False are left out, with all below
    them; it is asked about every folder down to the depth where there are enough to work on in
    parallel, and not below. About 150 bytes an object, and no Python object for any of them.
    """
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="listing") as pool:
        tables, level = _descend(store, prefix, keep_folder, pool)
        groups = _groups(level)
        pending = [pool.submit(_list_group, store, group, level, tables) for group in groups]
        tables = tables + [table for pages in all_results(pending) for table in pages]
    return _in_order([table for table in tables if table.num_rows])


def _descend(
    store: ObjectStore, prefix: str, keep_folder: Callable[[str], bool], pool: ThreadPoolExecutor
) -> tuple[list[pa.Table], _Level]:
    """List level by level until there is a folder for each worker, or none is left."""
    level = _look(store, prefix, keep_folder)
    tables = level.objects
    while 0 < len(level.kept) < WORKERS:
        pending = [pool.submit(_look, store, folder, keep_folder) for folder in level.kept]
        below = all_results(pending)
        level = _Level(
            [table for each in below for table in each.objects],
            [folder for each in below for folder in each.kept],
            level.dropped + [folder for each in below for folder in each.dropped],
        )
        tables = tables + level.objects
    return tables, level


def _look(store: ObjectStore, prefix: str, keep_folder: Callable[[str], bool]) -> _Level:
    level = _Level()
    for page in _pages(store, prefix, folders=True):
        level.objects.append(page.objects)
        for folder in page.folders:
            (level.kept if keep_folder(folder) else level.dropped).append(folder)
    return level


def _groups(level: _Level) -> list[str]:
    """Prefixes that cover the folders kept, and few others.

    A request per folder is far too many where each holds an object or two. Shortened names
    ("dt=2025-01-" for 31 of them) list many folders in the same page. They are as short as leaves
    every worker several, and covers no more dropped folders than kept ones.
    """
    if not level.kept:
        return []
    shortest = len(_shared(level.kept))
    for length in range(shortest + 1, max(map(len, level.kept))):
        groups = {folder[:length] for folder in level.kept}
        wasted = sum(folder[:length] in groups for folder in level.dropped)
        if len(groups) >= GROUPS_MIN and wasted <= len(level.kept):
            return _disjoint(groups)
    return level.kept


def _shared(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((at for at, (one, two) in pairs if one != two), len(first))]


def _disjoint(groups: set[str]) -> list[str]:
    """Without those that begin with another: a short folder name may be the beginning of a longer one."""
    kept: list[str] = []
    for group in sorted(groups):
        if not (kept and group.startswith(kept[-1])):
            kept.append(group)
    return kept


def _list_group(store: ObjectStore, group: str, level: _Level, seen: Sequence[pa.Table]) -> list[pa.Table]:
    """A group's pages, without what lies in dropped folders or was listed on the way down."""
    pages = [page.objects for page in _pages(store, group, folders=False)]
    dropped = [folder for folder in level.dropped if folder.startswith(group)]
    listed = _keys_within(seen, group)
    if not dropped and not listed:
        return pages
    return [_without(page, tuple(dropped), listed) for page in pages]


def _keys_within(tables: Sequence[pa.Table], group: str) -> set[str]:
    found: set[str] = set()
    for table in tables:
        found.update(table["key"].filter(pc.starts_with(table["key"], group)).to_pylist())
    return found


def _without(page: pa.Table, dropped: tuple[str, ...], listed: set[str]) -> pa.Table:
    keys = page["key"].to_pylist()
    wanted = [not key.startswith(dropped) and key not in listed for key in keys]
    return page.filter(pa.array(wanted, pa.bool_()))


def _pages(store: ObjectStore, prefix: str, *, folders: bool) -> list[Page]:
    pages = [store.page(prefix, folders=folders)]
    while pages[-1].after is not None:
        pages.append(store.page(prefix, after=pages[-1].after, folders=folders))
    return pages


def _in_order(tables: list[pa.Table]) -> pa.Table:
    """One table sorted by key. Pages come sorted, so that as a rule whole pages are put in order and
    nothing is copied; only where pages overlap are the rows themselves sorted."""
    if not tables:
        return LISTING.empty_table()
    ends = sorted(
        ((table["key"][0].as_py(), table["key"][-1].as_py(), at) for at, table in enumerate(tables)),
        key=lambda each: each[0].encode(),
    )
    joined = pa.concat_tables([tables[at] for _, _, at in ends])
    overlaps = any(one[1].encode() >= two[0].encode() for one, two in pairwise(ends))
    return joined.take(pc.sort_indices(joined["key"])) if overlaps else joined
