"""Tests of raybackfill.demo."""
