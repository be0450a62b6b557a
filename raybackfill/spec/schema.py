"""Moves the table of keys to a JSON Schema, for editors and for `raybackfill schema`."""

from __future__ import annotations

from typing import Any

from raybackfill.spec.fields import CONFIG


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a config; keys that are not in this version are there, and fit nothing."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "raybackfill config",
        "description": "One file is one backfill.",
        **CONFIG.schema(),
    }
