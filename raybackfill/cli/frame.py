"""What all commands share: their options, how results and errors are shown, and how Ctrl-C stops."""

from __future__ import annotations

import functools
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click

from raybackfill.api import Backfill, Run, find_run, load
from raybackfill.errors import RaybackfillError, SpecError
from raybackfill.observe import Listener, Silent
from raybackfill.observe.live import Live

CONFIG_SUFFIXES = (".yaml", ".yml")
FAILED = 1
WRONG_COMMAND = 2


@dataclass(frozen=True)
class Common:
    """The options that every command takes."""

    as_json: bool
    state: str | None
    project: str | None
    quiet: bool

    def load(self, config: str, overrides: dict[str, str]) -> Backfill:
        if self.state is not None:
            overrides = {**overrides, "state": self.state}
        return load(config, set=overrides, project=self.project)

    def find(self, run: str, overrides: dict[str, str]) -> Run:
        """A run by its ID, its URI, or a config (its newest run)."""
        if run.endswith(CONFIG_SUFFIXES) and Path(run).is_file():
            return self.load(run, overrides).newest_run()
        return find_run(run, self.state)

    def listener(self) -> Listener:
        return Silent() if self.quiet else Live(sys.stderr, time.monotonic)

    def show(self, document: dict[str, Any], text: Callable[[], str]) -> None:
        """The document with --json, else the text."""
        if self.as_json:
            click.echo(json.dumps(document, ensure_ascii=False))
        elif not self.quiet:
            click.echo(text())


def common_options(function: Callable[..., int]) -> Callable[..., None]:
    """Add the common options; the command gets them as `common`, and gives its exit code."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    @click.option("--state", envvar="RAYBACKFILL_STATE", help="Where plans and runs are kept.")
    @click.option("--project", type=click.Path(), help="Root of the job's code.")
    @click.option("-q", "--quiet", is_flag=True, help="No news, no summary.")
    @functools.wraps(function)
    def command(
        *args: Any, as_json: bool, state: str | None, project: str | None, quiet: bool, **options: Any
    ) -> None:
        common = Common(as_json, state, project, quiet)
        try:
            code = function(common, *args, **options)
        except RaybackfillError as error:
            show_error(error, as_json)
            code = error.exit_code
        raise SystemExit(code)

    return command


def set_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a key: scope.start=2025-02-01"
    )(function)


def scope_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--set, --start, --end and --as-of: what of a config is asked for this time."""
    function = click.option("--as-of", metavar="TIME", help="The job's clock (default: now).")(function)
    function = click.option("--end", metavar="TIME", help="The same as --set scope.end=TIME.")(function)
    function = click.option("--start", metavar="TIME", help="The same as --set scope.start=TIME.")(function)
    return set_option(function)


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--workers", type=click.IntRange(min=1), help="Units at once.")(function)
    function = click.option("--address", metavar="A", help="A Ray cluster (default: local; RAY_ADDRESS).")(
        function
    )
    return click.option("--engine", type=click.Choice(["ray", "inline"]), default="ray", show_default=True)(
        function
    )


def overrides(sets: tuple[str, ...], start: str | None = None, end: str | None = None) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in sets:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise SpecError(f"{item!r} sets nothing", where="--set", next="write --set KEY=VALUE")
        found[key] = value
    given = {"scope.start": start, "scope.end": end}
    return {**found, **{key: value for key, value in given.items() if value is not None}}


def show_error(error: RaybackfillError, as_json: bool) -> None:
    if as_json:
        said = {"kind": error.kind, "message": error.message, "where": error.where, "next": error.next}
        click.echo(json.dumps({"error": said, "exit_code": error.exit_code}, ensure_ascii=False))
        return
    where = f"{error.where}: " if error.where else ""
    click.echo(f"error: {where}{error.message}", err=True)
    if error.next:
        click.echo(f"  -> {error.next}", err=True)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks the driver to stop after the units under way; a second one stops at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        click.echo("\nstopping after the units under way (Ctrl-C again: at once)", err=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Group(click.Group):
    """Wrong usage exits with 2, Ctrl-C with 3, and a defect of ours with a line that can be reported."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            return super().main(*args, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            self._usage(error)
            raise SystemExit(WRONG_COMMAND) from None
        except (click.Abort, KeyboardInterrupt):
            click.echo("stopped; what is staged is kept: raybackfill resume RUN goes on", err=True)
            raise SystemExit(3) from None

    def _usage(self, error: click.ClickException) -> None:
        if "--json" in sys.argv:
            said = {"kind": "SpecError", "message": error.format_message(), "where": "", "next": ""}
            click.echo(json.dumps({"error": said, "exit_code": WRONG_COMMAND}))
        else:
            error.show()
