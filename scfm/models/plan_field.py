"""The field of a callout that holds its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scfm.models.fields import Field
from scfm.schemas import Schema


@dataclass(frozen=True)
class PlanField(Field):
    """A plan or null. ``Callouts.complete`` reads what a client gives: a plan may have filters that take a while."""

    schema = {"anyOf": [{"$ref": "plan.json"}, {"type": "null"}]}

    @property
    def accepts(self) -> Mapping[str, Schema]:
        return {self.name: self.schema}
