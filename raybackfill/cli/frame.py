"""What all commands share: their options, how results and errors are shown, and how Ctrl-C stops."""

from __future__ import annotations

import functools
import json
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import click

from raybackfill.api import Backfill, Run, find_run, load
from raybackfill.clock import utc_now
from raybackfill.errors import RaybackfillError, SpecError, TransientError
from raybackfill.observe import Listener, Silent
from raybackfill.observe.live import Live
from raybackfill.observe.logs import FORMAT_VARIABLE, Logs, error_fields, written

CONFIG_SUFFIXES = (".yaml", ".yml")
FAILED = 1
WRONG_COMMAND = 2
CALLS_NAMED = 4


@dataclass(frozen=True)
class Common:
    """The options that every command takes."""

    as_json: bool
    log_format: str
    state: str | None
    project: str | None
    quiet: bool
    results: TextIO

    def load(self, config: str, overrides: dict[str, str]) -> Backfill:
        if self.state is not None:
            overrides = {**overrides, "state": from_here(self.state)}
        return load(config, set=overrides, project=self.project)

    def find(self, run: str, overrides: dict[str, str]) -> Run:
        """A run by its ID, its URI, or a config (its newest run)."""
        if run.endswith(CONFIG_SUFFIXES):
            return self.load(run, overrides).newest_run()
        return find_run(run, self.state)

    def find_to_go_on(self, run: str, overrides: dict[str, str]) -> Run:
        """The same, refused where the run is unfinished and its config says something else by now."""
        if run.endswith(CONFIG_SUFFIXES):
            return self.load(run, overrides).unfinished_run()
        return self.find(run, overrides)

    def listener(self) -> Listener:
        if self.quiet:
            return Silent()
        if self.log_format == "json":
            return Logs(sys.stderr, utc_now, time.monotonic)
        return Live(sys.stderr, time.monotonic)

    def show(self, document: dict[str, Any], text: Callable[[], str]) -> None:
        """The document with --json, else the text."""
        if self.as_json:
            click.echo(json.dumps(document, ensure_ascii=False), file=self.results)
        elif not self.quiet:
            click.echo(text(), file=self.results)


def from_here(place: str) -> str:
    """A place of the command line: a relative folder starts where the command is given, and not, as
    those of a config do, at the project's root."""
    return place if ":/" in place or place.startswith("~") else str(Path(place).absolute())


def common_options(function: Callable[..., int]) -> Callable[..., None]:
    """Add the common options; the command gets them as `common`, and gives its exit code."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    @click.option("--state", envvar="RAYBACKFILL_STATE", help="Where plans and runs are kept.")
    @click.option("--project", type=click.Path(), help="Root of the job's code.")
    @click.option("-q", "--quiet", is_flag=True, help="No news, no summary.")
    @click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        envvar=FORMAT_VARIABLE,
        help="News on stderr: for people, or as JSON lines.",
    )
    @functools.wraps(function)
    def command(
        *args: Any,
        as_json: bool,
        state: str | None,
        project: str | None,
        quiet: bool,
        log_format: str,
        **options: Any,
    ) -> None:
        # Workers that are started from here inherit it.
        os.environ[FORMAT_VARIABLE] = log_format
        common = Common(as_json, log_format, state, project, quiet, sys.stdout)
        try:
            # A job may print: what is not the result is news.
            with redirect_stdout(sys.stderr) if as_json else nullcontext():
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


def run_command(
    common: Common, config: str, sets: tuple[str, ...], start: str | None, end: str | None, plan_id: str
) -> str:
    """The command that runs a plan: with all that the plan was asked with, or it would be refused."""
    given = [("--set", item) for item in sets]
    named = {"--start": start, "--end": end, "--state": common.state, "--project": common.project}
    given += [(option, value) for option, value in named.items() if value is not None]
    words = [config, *(word for pair in given for word in pair), "--plan", plan_id]
    return shlex.join(["raybackfill", "run", *words])


def show_error(error: RaybackfillError, as_json: bool) -> None:
    if as_json:
        said = {"kind": error.kind, "message": error.message, "where": error.where, "next": error.next}
        click.echo(json.dumps({"error": said, "exit_code": error.exit_code}, ensure_ascii=False))
        return
    if os.environ.get(FORMAT_VARIABLE) == "json":
        line = {"at": utc_now(), "level": "error", "event": "error", **error_fields(error)}
        click.echo(written({**line, "exit_code": error.exit_code}), err=True, nl=False)
        return
    where = f"{error.where}: " if error.where else ""
    click.echo(f"error: {where}{error.message}", err=True)
    if error.next:
        click.echo(f"  -> {error.next}", err=True)


@contextmanager
def stopping(run: str) -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks the driver to stop after the units under way; a second one stops at once. `run` is
    how the run is addressed."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        text = "stopping after the units under way (Ctrl-C again: at once)"
        said = {"at": utc_now(), "level": "info", "event": "said", "message": text}
        as_json = os.environ.get(FORMAT_VARIABLE) == "json"
        click.echo(written(said) if as_json else f"\n{text}\n", err=True, nl=False)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    except KeyboardInterrupt:
        raise TransientError(
            "stopped at once: what is staged is kept",
            where=run,
            next=f"raybackfill resume {shlex.quote(run)}",
        ) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Group(click.Group):
    """Wrong usage exits with 2, Ctrl-C with 3, and a defect of ours with a line that can be reported."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        # A command sets the format of the logs for its workers; it ends with the command.
        before = os.environ.get(FORMAT_VARIABLE)
        try:
            return self._main(args, *more, **options)
        finally:
            os.environ.pop(FORMAT_VARIABLE, None)
            os.environ.update({FORMAT_VARIABLE: before} if before is not None else {})

    def _main(self, args: Sequence[str] | None, *more: Any, **options: Any) -> Any:
        as_json = "--json" in (sys.argv[1:] if args is None else args)
        found: RaybackfillError
        try:
            return super().main(args, *more, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            if not as_json:
                error.show()
                raise SystemExit(WRONG_COMMAND) from None
            found = SpecError(error.format_message(), where="command line", next="see raybackfill --help")
        except (click.Abort, KeyboardInterrupt):
            found = TransientError("stopped", next="run the command again")
        except BrokenPipeError:
            # Who read the output has enough of it; what Python still holds has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(FAILED) from None
        except Exception as error:
            found = _defect(error)
        show_error(found, as_json)
        raise SystemExit(found.exit_code)


def _defect(error: Exception) -> RaybackfillError:
    """An error that is none of ours is a defect: the calls that led to it, the last one first."""
    calls = reversed(traceback.extract_tb(error.__traceback__)[-CALLS_NAMED:])
    way = " < ".join(f"{call.filename.rpartition('raybackfill/')[2]}:{call.lineno}" for call in calls)
    return RaybackfillError(
        f"{type(error).__name__}: {error} ({way})",
        where="a defect of raybackfill",
        next="please report this line; what is staged is kept, and the table is as its newest version says",
    )
