"""Decides how a backfill's source and target are laid out, and which part of both it is about."""

from __future__ import annotations

from dataclasses import dataclass

from raybackfill.control.planning.partitioning import Partitioning
from raybackfill.control.planning.scope import Scope, choose_column
from raybackfill.control.planning.templates import PathTemplate
from raybackfill.spec import BackfillSpec


@dataclass(frozen=True)
class Layout:
    template: PathTemplate
    scope: Scope
    partitioning: Partitioning

    @classmethod
    def of(cls, spec: BackfillSpec) -> Layout:
        """SpecError where the paths, the scope and the folders do not go together."""
        template = PathTemplate.parse(spec.source.path, spec.source.timezone)
        scope = Scope(spec.scope, choose_column(spec.scope, template), spec.timezone)
        return cls(template, scope, Partitioning(spec.target.partition_by, spec.target.timezone, template))
