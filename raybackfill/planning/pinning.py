"""What became of the objects that a plan pinned: listings tell, and nothing is opened."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from raybackfill.control.planning.identity.difference import Difference, Names, changes, pinned_objects
from raybackfill.control.planning.layout import Layout
from raybackfill.control.planning.plan import Plan
from raybackfill.planning import Parts
from raybackfill.planning.target import classified_files, replaced_files, source_objects, table_now


def changed_since(plan: Plan, parts: Parts) -> Difference:
    """What the plan would read or replace and is not any more as it was. Source objects that are new are
    none of it: they are left for the next plan."""
    spec = plan.recipe.spec
    layout = Layout.of(spec)
    now = table_now(parts.table)
    found = [source_objects(spec, parts, layout, now).objects, *parts.lookup_objects()]
    listed = pa.concat_tables([objects.select(["key", "size", "tag"]) for objects in found])
    files = replaced_files(classified_files(now.files, layout), spec)
    return Difference(
        inputs=replace(changes(pinned_objects(plan), listed, "key"), new=Names()),
        target=changes(plan.target_files, files, "path"),
    )
