"""raybackfill files: which files a version of a table is made of."""

from __future__ import annotations

import click

from raybackfill.cli.frame import CONFIG_SUFFIXES, Common, common_options, from_here, overrides, set_option
from raybackfill.cli.showing.summary import files_text
from raybackfill.reading import files_of
from raybackfill.spec import StorageSpec


@click.command()
@click.argument("table", metavar="CONFIG|TABLE_URI")
@click.option("--version", type=click.IntRange(min=1), help="Of this version (default: the newest).")
@set_option
@common_options
def files(common: Common, table: str, version: int | None, sets: tuple[str, ...]) -> int:
    """List the files of a table, which a config names or a URI, at one version of it."""
    uri, storage = from_here(table), StorageSpec()
    if table.endswith(CONFIG_SUFFIXES):
        target = common.load(table, overrides(sets)).spec.target
        uri, storage = target.uri, target.storage
    document = files_of(uri, version=version, storage=storage)
    common.show(document, lambda: files_text(document))
    return 0
