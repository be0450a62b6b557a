"""The tests of raybackfill; they mirror the package."""
