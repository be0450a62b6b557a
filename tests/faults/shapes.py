"""The shapes of jobs that crashes are tried on: a new shape or mode joins by an entry in SHAPES."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybackfill.api import Backfill
from raybackfill.checkpoint.recorder import LocalSender, Sender
from raybackfill.control.planning.plan import Plan
from raybackfill.engines import OpenWriter
from raybackfill.engines.inline import InlineEngine
from raybackfill.errors import RaybackfillError, TransientError, UnitError
from raybackfill.flow import unit as unit_flow
from raybackfill.storage.meter import Meter
from raybackfill.storage.probe import Findings
from raybackfill.wiring import Stores

Row = tuple[Any, ...]
PutObject = Callable[[str, bytes], object]
"""Puts an object under a key below the shape's root."""

ONE_OBJECT_A_UNIT = {"raybackfill.control.planning.units.UNIT_BYTES_SMALL": 1}
# Nothing waits, no sign of life comes in between by the clock, and what goes side by side goes in turn:
# the calls of a run are the same each time, and can be numbered.
ALWAYS = {
    "raybackfill.control.running.retry.BACKOFF_SECONDS": 0.0,
    "raybackfill.observe.presence.FIRST_SECONDS": 1000.0,
    "raybackfill.storage.parallel.THREADS": 1,
    "raybackfill.flow.load.CLOSED_AT_ONCE": 1,
}
# The inline engine has one task at a time and so nothing to commit together. With three under way the
# first receipt goes at once, and the others wait for each other.
GROUPED = {
    "raybackfill.engines.inline.InlineEngine.capacity": lambda engine: 3,
    "raybackfill.checkpoint.recorder.COMMIT_SECONDS": 1000.0,
}
ONE_BY_ONE = {**GROUPED, "raybackfill.checkpoint.recorder.COMMIT_SECONDS": 0.0}
# What a probe leaves nobody reads, so that not every shape needs to be crashed within it.
UNPROBED = {"raybackfill.runs.probe": lambda *_, **__: Findings((), None)}
SNAPSHOTS = {"raybackfill.checkpoint.SNAPSHOT_EVERY": 2}


def _last_first(act: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    return [act(item) for item in reversed(list(items))][::-1]


# Of what goes side by side, nothing promises that the first one comes first.
LAST_FIRST = {
    "raybackfill.table.view.in_parallel": _last_first,
    "raybackfill.flow.publish.in_parallel": _last_first,
}


def _in_a_writer_of_its_own(engine: InlineEngine, local: Sender, open_writer: OpenWriter) -> Sender:
    return LocalSender(open_writer())


# As an actor does: another incarnation of the driver's writer has the journal while units are worked on.
WRITTEN_ELSEWHERE = {"raybackfill.engines.inline.InlineEngine.checkpoint": _in_a_writer_of_its_own}


@dataclass(frozen=True)
class Shape:
    """A job over a lake, how it is run, and what it must end in.

    `config` says /lake where the lake lies. `project` are files of the job's code, `patches` what is
    set otherwise in the package (dotted name -> value). `earlier` is the config of a backfill that
    published into the same table before, `cut_off` of one that died within its publish, after the plan was
    made; `begun` leads the run so far before any crash is tried.
    `trouble` gives the errors that each process meets once, by the end of the key that it opens.
    Where `plans`, planning is crashed too; elsewhere the plan is there already. Where `probes`, the
    stores are probed. `gate` is what refuses the publish at the end. Where `replans`, each resume plans
    again what changed. `table`, where it is given, is
    written by hand: path -> rows.
    """

    name: str
    config: str
    lake: Callable[[PutObject], None]
    project: Mapping[str, str] = field(default_factory=dict)
    patches: Mapping[str, object] = field(default_factory=lambda: ONE_OBJECT_A_UNIT)
    earlier: str = ""
    cut_off: str = ""
    begun: Callable[[Backfill, Plan], None] | None = None
    trouble: Callable[[], dict[str, RaybackfillError]] = dict
    plans: bool = False
    probes: bool = False
    gate: str = ""
    replans: bool = False
    table: Mapping[str, list[Row]] | None = None


def parquet(rows: list[Row]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(zip(("id", "shop", "value"), zip(*rows, strict=True), strict=True))), sink)
    return sink.getvalue().to_pybytes()


def csv(rows: list[Row]) -> bytes:
    return "".join(f"{','.join(map(str, row))}\n" for row in [("id", "shop", "value"), *rows]).encode()


# Two days of two objects and one of one: the digits of a row's ID are its day, its object, its place.
RAW = {
    "dt=2025-01-01/f0": [(100, "a", 1), (101, "b", 2)],
    "dt=2025-01-01/f1": [(110, "a", 3), (111, "b", 4)],
    "dt=2025-01-02/f0": [(200, "a", 5), (201, "b", 6)],
    "dt=2025-01-02/f1": [(210, "a", 7), (211, "b", 8)],
    "dt=2025-01-03/f0": [(300, "a", 9), (301, "b", 10)],
}
# The table lacks one day, and has another in more files than it will have, under names not all ours.
OLD = {
    "dt=2025-01-01/part-00000": [(170, "a", -1), (171, "b", -2)],
    "dt=2025-01-01/part-00001": [(180, "a", -3), (181, "b", -4)],
    "dt=2025-01-01/written-by-spark": [(190, "b", -5)],
    "dt=2025-01-03/part-00000": [(370, "a", -6), (371, "b", -7)],
}


def daily(put: PutObject) -> None:
    for path, rows in RAW.items():
        put(f"raw/{path}.parquet", parquet(rows))
    for path, rows in OLD.items():
        put(f"gold/orders/{path}.parquet", parquet(rows))


def two_days(put: PutObject) -> None:
    """What is cheap to run: one object a day, one of the table's own, of which a row is kept."""
    for path in ("dt=2025-01-01/f0", "dt=2025-01-02/f0"):
        put(f"raw/{path}.parquet", parquet(RAW[path]))
    for name in ("part-00000", "written-by-spark"):
        put(
            f"gold/orders/dt=2025-01-01/{name}.parquet",
            parquet(OLD[f"dt=2025-01-01/{name}"] + [(199, "b", 0)]),
        )


def of_csv(put: PutObject) -> None:
    for path, rows in RAW.items():
        put(f"raw/{path}.csv", csv(rows))
    put("gold/orders/dt=2025-01-01/part-00000.parquet", parquet(OLD["dt=2025-01-01/part-00000"]))


def unpartitioned(put: PutObject) -> None:
    for path, rows in RAW.items():
        put(f"raw/{path}.parquet", parquet(rows))
    for name, rows in zip(("part-00000", "part-00001", "written-by-spark"), OLD.values(), strict=False):
        put(f"gold/orders/{name}.parquet", parquet(rows))


SOURCE = 'source: {uri: /lake/raw, path: "dt={dt:%Y-%m-%d}/*"}\n'
TARGET = "target: {uri: /lake/gold/orders, partition_by: [dt]}\n"
ORDERS = f"name: orders\n{SOURCE}{TARGET}"
WINDOW = "scope: {start: 2025-01-01, end: 2025-01-03}\n"
OF_ONE_SHOP = "scope: {include: {shop: [a]}}\n"
DOUBLED_IN_SQL = 'transform: {sql: "select id, shop, value * 2 as value, dt from input"}\n'
TOTALS = """
transform:
  per: partition
  sql: "select min(id) as id, shop, sum(value)::bigint as value, dt from input group by shop, dt order by shop"
"""
JOBS = """
import pyarrow as pa
import pyarrow.compute as pc

def multiply(rows: pa.Table, *, by: int) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index("value"), "value", pc.multiply(rows["value"], by))

def from_id(rows: pa.Table, *, first: int) -> pa.Table:
    return rows.filter(pc.greater_equal(rows["id"], first))
"""
PROJECT = {"jobs/orders.py": JOBS, "pyproject.toml": ""}
TRIPLED = 'transform: {python: "jobs.orders:multiply", params: {by: 3}}\n'
NONE_OF_THE_FIRST_DAY = 'transform: {python: "jobs.orders:from_id", params: {first: 200}}\n'
REPAIR = """
name: orders
source: {uri: /lake/gold/orders, path: "dt={dt:%Y-%m-%d}/*"}
target: {uri: /lake/gold/orders, partition_by: [dt]}
transform: {sql: "select id, shop, value + 1000 as value, dt from input"}
"""

# What a day of the window holds afterwards, where the job changes no row and each object was a unit.
AS_IT_CAME = {
    f"dt=2025-01-0{day}/part-0000{part}.parquet": RAW[f"dt=2025-01-0{day}/f{part}"]
    for day in (1, 2)
    for part in (0, 1)
}


def stopped_early(asked: Backfill, plan: Plan) -> None:
    """As an operator's Ctrl-C does it: some units are staged, and others wait."""
    looks = iter((False, True))
    with pytest.raises(TransientError, match="interrupted"):
        asked.run(plan, engine="inline", stop_asked=lambda: next(looks, True))
    units = asked.newest_run().status()["units"]
    assert units["staged"]
    assert units["waiting"]


def _put(asked: Backfill, path: str, rows: list[Row]) -> None:
    store = Stores(asked.spec, Meter()).target
    store.put(f"/lake/{path}", parquet(rows))


def stopped_and_changed(asked: Backfill, plan: Plan) -> None:
    """Some units are staged; then one that is and one that is not get other inputs, one object comes."""
    stopped_early(asked, plan)
    for path in ("dt=2025-01-01/f0", "dt=2025-01-02/f1"):
        _put(asked, f"raw/{path}.parquet", [(id + 5, shop, value) for id, shop, value in RAW[path]])
    _put(asked, "raw/dt=2025-01-02/f2.parquet", [(220, "a", 1)])


def staged_and_overtaken(asked: Backfill, plan: Plan) -> None:
    """All is staged; then somebody writes into the table, which is found when it is published."""
    staged_alone(asked, plan)
    _put(asked, "gold/orders/dt=2025-01-01/late.parquet", [(198, "a", 0), (197, "b", 0)])


def staged_alone(asked: Backfill, plan: Plan) -> None:
    assert asked.run(plan, engine="inline", publish=False).status()["state"] == "staged"


_move_rows = unit_flow._move_rows


def _starves_on_several(unit: Any, *given: Any) -> Any:
    """A worker's memory holds one piece of a unit."""
    if len(unit.pieces) > 1:
        raise MemoryError
    return _move_rows(unit, *given)


def _one_error_each() -> dict[str, RaybackfillError]:
    return {
        "raw/dt=2025-01-01/f1.parquet": TransientError("503 Slow Down"),
        "raw/dt=2025-01-02/f0.parquet": UnitError("the data is wrong"),
    }


SHAPES = (
    Shape("rows as they are, planning too", ORDERS + WINDOW, daily, plans=True, probes=True),
    Shape(
        "rows as they are",
        ORDERS + WINDOW,
        daily,
        patches=ONE_OBJECT_A_UNIT | GROUPED,
        table={**AS_IT_CAME, "dt=2025-01-03/part-00000.parquet": OLD["dt=2025-01-03/part-00000"]},
    ),
    Shape(
        "sql with rows carried over",
        ORDERS + OF_ONE_SHOP + DOUBLED_IN_SQL,
        daily,
        patches=ONE_OBJECT_A_UNIT | ONE_BY_ONE | SNAPSHOTS,
        table={
            # Work units come first, one object each, then what is carried of each old file.
            "dt=2025-01-01/part-00000.parquet": [(100, "a", 2)],
            "dt=2025-01-01/part-00001.parquet": [(110, "a", 6)],
            "dt=2025-01-01/part-00002.parquet": [(171, "b", -2)],
            "dt=2025-01-01/part-00003.parquet": [(181, "b", -4)],
            "dt=2025-01-01/part-00004.parquet": [(190, "b", -5)],
            "dt=2025-01-02/part-00000.parquet": [(200, "a", 10)],
            "dt=2025-01-02/part-00001.parquet": [(210, "a", 14)],
            "dt=2025-01-03/part-00000.parquet": [(300, "a", 18)],
            "dt=2025-01-03/part-00001.parquet": [(371, "b", -7)],
        },
    ),
    Shape(
        "python",
        ORDERS + WINDOW + TRIPLED,
        daily,
        project=PROJECT,
        patches=ONE_OBJECT_A_UNIT | WRITTEN_ELSEWHERE,
        table={
            **{path: [(i, s, v * 3) for i, s, v in rows] for path, rows in AS_IT_CAME.items()},
            "dt=2025-01-03/part-00000.parquet": OLD["dt=2025-01-03/part-00000"],
        },
    ),
    Shape(
        "sql per partition",
        # Five rows of the first day become two.
        ORDERS + TOTALS + "shrink: 60%\n",
        daily,
        patches=ONE_OBJECT_A_UNIT | SNAPSHOTS,
        table={
            "dt=2025-01-01/part-00000.parquet": [(100, "a", 4), (101, "b", 6)],
            "dt=2025-01-02/part-00000.parquet": [(200, "a", 12), (201, "b", 14)],
            "dt=2025-01-03/part-00000.parquet": [(300, "a", 9), (301, "b", 10)],
        },
    ),
    Shape(
        "repair in place",
        REPAIR,
        daily,
        patches=ONE_OBJECT_A_UNIT | ONE_BY_ONE,
        table={
            "dt=2025-01-01/part-00000.parquet": [(170, "a", 999), (171, "b", 998)],
            "dt=2025-01-01/part-00001.parquet": [(180, "a", 997), (181, "b", 996)],
            "dt=2025-01-01/part-00002.parquet": [(190, "b", 995)],
            "dt=2025-01-03/part-00000.parquet": [(370, "a", 994), (371, "b", 993)],
        },
    ),
    Shape(
        "unpartitioned",
        f"name: orders\n{SOURCE}target: {{uri: /lake/gold/orders}}\n",
        unpartitioned,
        patches=ONE_OBJECT_A_UNIT | GROUPED | SNAPSHOTS | LAST_FIRST,
    ),
    Shape(
        "newest first",
        f"name: orders\n{SOURCE}target: {{uri: /lake/gold/orders}}\norder: newest_first\n",
        unpartitioned,
        patches=ONE_OBJECT_A_UNIT | LAST_FIRST,
        table={
            "part-00000.parquet": [(300, "a", 9, date(2025, 1, 3)), (301, "b", 10, date(2025, 1, 3))],
            "part-00001.parquet": [(200, "a", 5, date(2025, 1, 2)), (201, "b", 6, date(2025, 1, 2))],
            "part-00002.parquet": [(210, "a", 7, date(2025, 1, 2)), (211, "b", 8, date(2025, 1, 2))],
            "part-00003.parquet": [(100, "a", 1, date(2025, 1, 1)), (101, "b", 2, date(2025, 1, 1))],
            "part-00004.parquet": [(110, "a", 3, date(2025, 1, 1)), (111, "b", 4, date(2025, 1, 1))],
        },
    ),
    Shape(
        "a partition left empty is removed",
        ORDERS.replace("[dt]", "[dt], on_empty: remove") + NONE_OF_THE_FIRST_DAY,
        daily,
        project=PROJECT,
        table={
            "dt=2025-01-02/part-00000.parquet": RAW["dt=2025-01-02/f0"],
            "dt=2025-01-02/part-00001.parquet": RAW["dt=2025-01-02/f1"],
            "dt=2025-01-03/part-00000.parquet": RAW["dt=2025-01-03/f0"],
        },
    ),
    Shape(
        "a partition left empty is kept",
        ORDERS.replace("[dt]", "[dt], on_empty: keep") + NONE_OF_THE_FIRST_DAY,
        daily,
        project=PROJECT,
        patches=ONE_OBJECT_A_UNIT | GROUPED,
    ),
    Shape(
        "a partition left empty is refused",
        ORDERS + NONE_OF_THE_FIRST_DAY,
        daily,
        project=PROJECT,
        gate="no partition left empty",
        table={f"{path}.parquet": rows for path, rows in OLD.items()},
    ),
    Shape(
        "a partition that shrinks is refused",
        ORDERS + WINDOW,
        two_days,
        patches=ONE_OBJECT_A_UNIT | GROUPED,
        gate="no partition shrinks",
        table={
            f"dt=2025-01-01/{name}.parquet": OLD[f"dt=2025-01-01/{name}"] + [(199, "b", 0)]
            for name in ("part-00000", "written-by-spark")
        },
    ),
    Shape(
        "rows are added",
        ORDERS.replace("[dt]", "[dt], mode: append, allow_duplicates: true, file_size: 1B") + WINDOW,
        daily,
        patches=ONE_OBJECT_A_UNIT | ONE_BY_ONE | LAST_FIRST,
    ),
    Shape(
        "several files a folder",
        ORDERS.replace("[dt]", "[dt], file_size: 1B") + WINDOW,
        daily,
        patches=LAST_FIRST,
        table={
            **{
                f"dt=2025-01-0{day}/part-0000{at}.parquet": [
                    (RAW[f"dt=2025-01-0{day}/f0"] + RAW[f"dt=2025-01-0{day}/f1"])[at]
                ]
                for day in (1, 2)
                for at in range(4)
            },
            "dt=2025-01-03/part-00000.parquet": OLD["dt=2025-01-03/part-00000"],
        },
    ),
    Shape(
        "units that fail once",
        ORDERS + WINDOW + "retries: {attempts: 9}\n",
        daily,
        patches=ONE_OBJECT_A_UNIT | ONE_BY_ONE | SNAPSHOTS,
        trouble=_one_error_each,
        table={**AS_IT_CAME, "dt=2025-01-03/part-00000.parquet": OLD["dt=2025-01-03/part-00000"]},
    ),
    Shape(
        "a unit that is divided",
        ORDERS + WINDOW,
        daily,
        patches=SNAPSHOTS | {"raybackfill.flow.unit._move_rows": _starves_on_several},
        table={**AS_IT_CAME, "dt=2025-01-03/part-00000.parquet": OLD["dt=2025-01-03/part-00000"]},
    ),
    Shape(
        "a unit that is divided, its journal elsewhere",
        ORDERS + WINDOW,
        daily,
        patches=ONE_BY_ONE | WRITTEN_ELSEWHERE | {"raybackfill.flow.unit._move_rows": _starves_on_several},
    ),
    Shape("resumed once", ORDERS + OF_ONE_SHOP, two_days, begun=stopped_early),
    Shape(
        "resumed once, its journal elsewhere",
        ORDERS + WINDOW,
        daily,
        patches=ONE_OBJECT_A_UNIT | ONE_BY_ONE | WRITTEN_ELSEWHERE | SNAPSHOTS,
        begun=stopped_early,
    ),
    Shape(
        "published by hand",
        ORDERS + OF_ONE_SHOP + "publish: manual\n",
        two_days,
        patches=ONE_OBJECT_A_UNIT | ONE_BY_ONE,
        table={
            "dt=2025-01-01/part-00000.parquet": [(100, "a", 1)],
            "dt=2025-01-01/part-00001.parquet": [(171, "b", -2), (199, "b", 0)],
            "dt=2025-01-01/part-00002.parquet": [(190, "b", -5), (199, "b", 0)],
            "dt=2025-01-02/part-00000.parquet": [(200, "a", 5)],
        },
    ),
    Shape(
        "planned again after the source changed",
        ORDERS + WINDOW,
        daily,
        patches=ONE_OBJECT_A_UNIT | ONE_BY_ONE | SNAPSHOTS,
        begun=stopped_and_changed,
        replans=True,
        table={
            "dt=2025-01-01/part-00000.parquet": [(105, "a", 1), (106, "b", 2)],
            "dt=2025-01-01/part-00001.parquet": RAW["dt=2025-01-01/f1"],
            "dt=2025-01-02/part-00000.parquet": RAW["dt=2025-01-02/f0"],
            "dt=2025-01-02/part-00001.parquet": [(215, "a", 7), (216, "b", 8)],
            "dt=2025-01-02/part-00002.parquet": [(220, "a", 1)],
            "dt=2025-01-03/part-00000.parquet": OLD["dt=2025-01-03/part-00000"],
        },
    ),
    Shape(
        "planned again after the table changed",
        ORDERS + OF_ONE_SHOP,
        two_days,
        patches=ONE_OBJECT_A_UNIT | GROUPED,
        begun=staged_and_overtaken,
        replans=True,
        table={
            "dt=2025-01-01/part-00000.parquet": [(100, "a", 1)],
            "dt=2025-01-01/part-00001.parquet": [(197, "b", 0)],
            "dt=2025-01-01/part-00002.parquet": [(171, "b", -2), (199, "b", 0)],
            "dt=2025-01-01/part-00003.parquet": [(190, "b", -5), (199, "b", 0)],
            "dt=2025-01-02/part-00000.parquet": [(200, "a", 5)],
        },
    ),
    Shape("staged before", ORDERS + WINDOW, daily, begun=staged_alone),
    Shape(
        "over an earlier version",
        ORDERS + WINDOW + TRIPLED,
        daily,
        project=PROJECT,
        earlier=ORDERS.replace("orders\n", "first\n", 1) + WINDOW,
        table={
            **{path: [(i, s, v * 3) for i, s, v in rows] for path, rows in AS_IT_CAME.items()},
            "dt=2025-01-03/part-00000.parquet": OLD["dt=2025-01-03/part-00000"],
        },
    ),
    Shape(
        "csv",
        ORDERS + WINDOW,
        of_csv,
        patches=ONE_OBJECT_A_UNIT | GROUPED,
        table=AS_IT_CAME,
    ),
    Shape(
        "small",
        ORDERS + OF_ONE_SHOP,
        two_days,
        probes=True,
        table={
            "dt=2025-01-01/part-00000.parquet": [(100, "a", 1)],
            "dt=2025-01-01/part-00001.parquet": [(171, "b", -2), (199, "b", 0)],
            "dt=2025-01-01/part-00002.parquet": [(190, "b", -5), (199, "b", 0)],
            "dt=2025-01-02/part-00000.parquet": [(200, "a", 5)],
        },
    ),
)


def shape(name: str) -> Shape:
    return next(shape for shape in SHAPES if shape.name == name)
