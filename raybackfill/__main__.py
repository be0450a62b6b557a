"""python -m raybackfill: the command line."""

from raybackfill.cli import main

main()
