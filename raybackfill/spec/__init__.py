"""The config: YAML to frozen values. Nothing here opens a file, a clock or the environment; the zones
of the machine's own IANA table are all it looks up."""

from raybackfill.spec.arrow_types import arrow_type, arrow_type_text
from raybackfill.spec.document import spec_document, spec_from_document
from raybackfill.spec.moments import read_moment
from raybackfill.spec.reading import read_spec
from raybackfill.spec.schema import json_schema
from raybackfill.spec.values import (
    BackfillSpec,
    CsvSpec,
    LimitsSpec,
    Moment,
    PartitionField,
    QuerySpec,
    ReconcileSpec,
    RetriesSpec,
    ScopeSpec,
    SourceSpec,
    StorageSpec,
    TableSpec,
    TargetSpec,
    TransformSpec,
    VerifySpec,
)

__all__ = [
    "BackfillSpec",
    "CsvSpec",
    "LimitsSpec",
    "Moment",
    "PartitionField",
    "QuerySpec",
    "ReconcileSpec",
    "RetriesSpec",
    "ScopeSpec",
    "SourceSpec",
    "StorageSpec",
    "TableSpec",
    "TargetSpec",
    "TransformSpec",
    "VerifySpec",
    "arrow_type",
    "arrow_type_text",
    "json_schema",
    "read_moment",
    "read_spec",
    "spec_document",
    "spec_from_document",
]
