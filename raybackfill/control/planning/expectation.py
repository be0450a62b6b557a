"""Decides, before any row is read, which folders the source's paths promise the target."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from raybackfill.control.planning.partitioning import Partitioning
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.control.planning.times import GRANULARITIES, Code, parse_format
from raybackfill.spec import PartitionField


def expected_folders(
    partitioning: Partitioning, fields: Sequence[PartitionField], template: PathTemplate, values: pa.Table
) -> pa.Array | None:
    """The folders of the target, if the job keeps the columns that name them; None where a folder's
    column is not in the paths, or its time is finer than what the paths say."""
    if not fields or not all(_is_told(field, template, values) for field in fields):
        return None
    return pc.unique(partitioning.folders(values))


def _is_told(field: PartitionField, template: PathTemplate, values: pa.Table) -> bool:
    if field.template is None:
        return field.name in values.column_names
    column, _, codes = field.template.partition("{")[2].partition("}")[0].partition(":")
    if column not in template.granularities or column not in values.column_names:
        return False
    wanted = [part.granularity for part in parse_format(codes, field.template) if isinstance(part, Code)]
    told = GRANULARITIES.index(template.granularities[column])
    return max(map(GRANULARITIES.index, wanted)) <= told
