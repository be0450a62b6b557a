"""Tests of raybackfill.storage."""
