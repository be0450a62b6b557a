"""raybackfill schema: the JSON Schema of a config."""

from __future__ import annotations

import json

import click

from raybackfill.cli.frame import Common, common_options
from raybackfill.spec import json_schema


@click.command()
@common_options
def schema(common: Common) -> int:
    """Print the JSON Schema of a config, for editors and checks."""
    click.echo(json.dumps(json_schema(), indent=None if common.as_json else 2), file=common.results)
    return 0
