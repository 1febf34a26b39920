"""A route, as far as the document needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tornado.web import URLSpec  # type: ignore[attr-defined]

from scfm.handlers.openapi.components import JsonObject, ref
from scfm.models.resource import Resource
from scfm.models.roles import Role


@dataclass(frozen=True)
class DocumentedRoute:
    """An entry of the table of routes, as far as the document needs it."""

    path: str
    handler: type
    options: Mapping[str, Any]

    @classmethod
    def of(cls, entry: URLSpec) -> DocumentedRoute:
        """The route of a Tornado URLSpec, whose name is the path as OpenAPI writes it."""
        return cls(str(entry.name), entry.handler_class, entry.kwargs or {})

    @property
    def verbs(self) -> list[str]:
        """``["GET", "PATCH"]``."""
        return str(self.options.get("verbs", "GET")).split()

    @property
    def resource(self) -> Resource:
        """What is listed, created, shown or changed here."""
        return cast(Resource, self.options["resource"])

    @property
    def parent(self) -> Resource | None:
        """Of a nested list: whose documents it is about."""
        return self.options.get("parent")

    @property
    def under(self) -> str:
        """Under what the resource is listed or created here, for a name: ``_of_callout``, or nothing."""
        return f"_of_{self.parent.kind}" if self.parent else ""

    def role(self, verb: str) -> Role | None:
        """The least role that is let in with a verb; None for whom no role is needed."""
        roles: Mapping[str, Role | None] = self.options.get("roles", {})
        return roles.get(verb)

    def operation(self, operation_id: str, summary: str, responses: JsonObject, **more: Any) -> JsonObject:
        """The operation of one verb here."""
        if self.options.get("super_admin"):
            more["description"] = "For super admins only."
        return {
            "operationId": operation_id,
            "summary": summary,
            "tags": [self.resource.collection],
            **more,
            "responses": responses,
        }

    def parameters(self, *names: str) -> list[JsonObject]:
        """References to the path's own parameters, and to those called NAMES."""
        of_path = ["id"] if "{id}" in self.path else []
        of_account = ["account_id"] if self.options.get("for_any_account") else []
        return [ref("parameters", name) for name in (*of_path, *names, *of_account)]
