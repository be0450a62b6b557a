"""Measures raybackfill beside Polars, DuckDB and Ray Data on the same work: `python -m benchmarks`."""
