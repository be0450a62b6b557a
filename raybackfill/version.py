"""Which version of raybackfill this is: written into runs, shown by --version."""

VERSION = "0.1.0"
