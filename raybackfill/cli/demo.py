"""raybackfill demo: a shop's revenue table that went wrong is found out, rebuilt, and checked."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raybackfill.api import load
from raybackfill.cli.frame import Common, common_options
from raybackfill.cli.showing.summary import plan_text, run_document, run_text
from raybackfill.demo.lake import ORDERS, REVENUE
from raybackfill.demo.shop import DAYS, DAYS_MIN, Shop
from raybackfill.observe.words import amount, duration, plural, size
from raybackfill.wiring import require

if TYPE_CHECKING:
    from raybackfill.demo.check import Findings
    from raybackfill.demo.pipeline import Built
    from raybackfill.demo.place import Place

STOPPED = 3
NOT_RESTORED = 1
NAMED_MAX = 3

Say = Callable[[str], None]


@click.command()
@click.option("--keep", metavar="DIR", help="Work in this new folder instead of on S3, and keep all of it.")
@click.option(
    "--days", type=click.IntRange(DAYS_MIN, 60), default=DAYS, show_default=True, help="Of history."
)
@click.option("--engine", type=click.Choice(["ray", "inline"]), default="ray", show_default=True)
@common_options
def demo(common: Common, keep: str | None, days: int, engine: str) -> int:
    """Break a shop's revenue table, rebuild it, and check the result.

    It brings its own data, S3 server and local Ray, and needs nothing else. Exits 0 if the rebuilt
    table is right.
    """
    for module in ("polars", "duckdb", *(() if keep else ("moto",))):
        require(module, "the demo", "demo")
    say: Say = (lambda text: None) if common.as_json or common.quiet else click.echo
    began = time.monotonic()
    try:
        with _ended_cleanly():
            document = _demo(common, Shop(days=days), keep, engine, say)
    except KeyboardInterrupt:
        left = f"what there is lies in {keep}" if keep else "nothing of it is left"
        click.echo(f"\nstopped; {left}", err=True)
        return STOPPED
    document["elapsed_seconds"] = round(time.monotonic() - began, 1)
    say(_end_text(document))
    if common.as_json:
        common.show(document, lambda: "")
    return int(document["exit_code"])


@contextmanager
def _ended_cleanly() -> Iterator[None]:
    """Being told to end (SIGTERM) ends the server and Ray, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _place(shop: Shop, keep: str | None) -> AbstractContextManager[Place]:
    from raybackfill.demo.place import kept_place, temporary_place

    return kept_place(shop, Path(keep)) if keep else temporary_place(shop)


def _demo(common: Common, shop: Shop, keep: str | None, engine: str, say: Say) -> dict[str, Any]:
    """The five steps, and what came of them."""
    # They need what the demo's extra brings, which the command has asked for by now.
    from raybackfill.demo.check import check
    from raybackfill.demo.pipeline import build

    with _place(shop, keep) as place:
        say(f"1. A shop's orders, and the table of revenue made of them, on {place.what}")
        built = build(shop, place.lake)
        say(_shop_text(shop, place, built))
        say("\n2. What is wrong: every order reckoned anew from the raw files, in SQL, by DuckDB")
        before = check(place.lake)
        say(_findings_text(before))
        say(f"\n3. The plan to rebuild the days from {shop.window_start} on: {place.config_shown}")
        backfill = load(place.config)
        plan = backfill.plan()
        say(plan_text({**plan.to_json(), "next": "the demo runs it now"}))
        say(f"\n4. The run, {'on local Ray' if engine == 'ray' else 'in this process'}")
        run = run_document(backfill.run(plan, engine=engine, listener=common.listener()))
        say(run_text({**run, "next": "the demo checks the table now"}))
        say("\n5. The same check again, over the table's files as they are now")
        after = check(place.lake)
        changed = changed_outside(shop, before, after)
        say(_findings_text(after))
        say(_outside_text(after, shop, changed))
        passed = run["exit_code"] == 0 and after.is_right and not changed
        return {
            "format": "demo/1",
            "passed": passed,
            "lake": place.lake.uri,
            "shop": asdict(built) | {"days": shop.days, "seed": shop.seed},
            "before": before.to_json(),
            "plan": plan.to_json(),
            "run": run,
            "after": after.to_json() | {"files_changed_outside": len(changed)},
            "kept": str(Path(keep).resolve()) if keep else None,
            "next": _next(keep, place.config_shown),
            "exit_code": 0 if passed else run["exit_code"] or NOT_RESTORED,
        }


def changed_outside(shop: Shop, before: Findings, after: Findings) -> list[str]:
    """The partitions outside of the backfill's days whose files came, went, or have other bytes."""
    inside = {hour.folder for hour in shop.hours() if shop.is_in_window(hour)}
    outside = sorted((set(before.digests) | set(after.digests)) - inside)
    return [folder for folder in outside if before.digests.get(folder) != after.digests.get(folder)]


def _shop_text(shop: Shop, place: Place, built: Built) -> str:
    share = round(100 * built.largest_customer_rows / built.order_rows)
    down = sum(shop.is_outage(hour) for hour in shop.hours())
    return "\n".join(
        [
            f"   {place.lake.place(ORDERS)}: {plural(built.order_files, 'hourly file')}, "
            f"{amount(built.order_rows)} rows, {size(built.order_bytes)}",
            f"      {shop.first_day} .. {shop.last_day}; one customer has {share}% of the rows",
            f"      {shop.discount_day} a new column, discount_percent; "
            f"{shop.wide_day} customer_id becomes int64; {shop.reorder_day} another order",
            f"   {place.lake.place(REVENUE)}: {plural(built.revenue_files, 'file')}, "
            f"{amount(built.revenue_rows)} rows, {size(built.revenue_bytes)}",
            f"      its pipeline was down for {plural(down, 'hour')}, and took no notice of discounts "
            f"before {shop.fixed_day}",
        ]
    )


def _findings_text(found: Findings) -> str:
    missing = f" ({found.orders_missing:,} orders)" if found.missing else ""
    off = f"{abs(found.euros_too_much):,.0f} EUR too {'much' if found.euros_too_much > 0 else 'little'}"
    wrong = f" ({found.orders_wrong:,} orders, {off})" if found.wrong else ""
    return f"   {found.hours:,} hours: {len(found.missing)} missing{missing}, {len(found.wrong)} wrong{wrong}"


def _outside_text(after: Findings, shop: Shop, changed: list[str]) -> str:
    if changed:
        named = ", ".join(changed[:NAMED_MAX])
        return f"   {plural(len(changed), 'partition')} outside of the plan changed: {named}"
    untouched = sum(hour.folder in after.digests for hour in shop.hours() if not shop.is_in_window(hour))
    return f"   the {untouched:,} partitions outside of the plan are byte for byte what they were"


def _next(keep: str | None, config: str) -> list[str]:
    if keep is None:
        return ["raybackfill demo --keep shop", "raybackfill init NAME --source s3://.. --target s3://.."]
    config = shlex.quote(config)
    return [
        f"raybackfill status {config}",
        f"raybackfill plan {config} --set transform.params.vat=0.2",
        f"raybackfill run {config} --set transform.params.vat=0.2",
    ]


def _end_text(document: dict[str, Any]) -> str:
    verdict = "The table is right again" if document["passed"] else "FAILED: the table is not right"
    kept = f"all of it is kept in {document['kept']}" if document["kept"] else "nothing of it is kept"
    lines = [f"\n{verdict}; {duration(document['elapsed_seconds'])} in all, {kept}. Try next:"]
    return "\n".join([*lines, *(f"   {command}" for command in document["next"])])
