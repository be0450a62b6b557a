"""The command line: one command a file. Results go to stdout, news to stderr."""

from __future__ import annotations

import click

from raybackfill.cli.clean import clean
from raybackfill.cli.close import close
from raybackfill.cli.demo import demo
from raybackfill.cli.files import files
from raybackfill.cli.frame import Group
from raybackfill.cli.init import init
from raybackfill.cli.list import list_runs
from raybackfill.cli.plan import plan
from raybackfill.cli.publish import publish
from raybackfill.cli.resume import resume
from raybackfill.cli.rollback import rollback
from raybackfill.cli.run import run
from raybackfill.cli.schema import schema
from raybackfill.cli.status import status
from raybackfill.cli.verify import verify
from raybackfill.version import VERSION


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="raybackfill")
def main() -> None:
    """Rebuild historical data in object storage: find out what is wrong, plan, run, publish."""


commands = (
    *(init, plan, run, resume, publish, status, verify, rollback, close, clean),
    *(files, list_runs, schema, demo),
)
for command in commands:
    main.add_command(command)
