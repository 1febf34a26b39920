"""Accounts: whose contacts and callouts they are, and with which credentials they call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from scfm.models.fields import NOT_IN_LIST, Field, Id, Metadata, Rules, Text, Wrong
from scfm.models.query import Document
from scfm.models.resource import COMMON_FILTERS, Guard, Resource, Unique
from scfm.settings import PROVIDERS

SUPER_ADMIN = "super_admin"


@dataclass(frozen=True)
class Sid(Text):
    """The name of an account at a provider; it stands in URLs, so only plain characters are taken."""

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = super().read(given, old, rules)
        if not value:
            return None
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}\Z", value):
            raise Wrong("is invalid")
        return value


@dataclass(frozen=True)
class Secret(Text):
    """A provider's auth token: taken, never given back; only its last four characters are shown."""

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        return super().read(given, old, rules) or None

    def show(self, document: Document) -> Any:
        value = document.get(self.name)
        return None if value is None else "*" * 8 + (value[-4:] if len(value) > 8 else "")


@dataclass(frozen=True)
class Settings(Field):
    """How the account calls. A client sets each by its own name, at the top level."""

    settable = True

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        if "platform_provider_name" not in given:
            return old
        name = given["platform_provider_name"]
        if name in (None, ""):
            return {key: value for key, value in old.items() if key != "platform_provider_name"}
        if name not in PROVIDERS:
            raise Wrong(NOT_IN_LIST)
        return {**old, "platform_provider_name": name}


class Accounts(Resource):
    kind = "account"
    collection = "accounts"
    tenant = False
    fields = (
        Id("id"),
        Metadata("metadata", {}),
        Settings("settings", {}),
        Sid("twilio_account_sid"),
        Sid("somleng_account_sid"),
        Secret("twilio_auth_token"),
        Secret("somleng_auth_token"),
        Field("permissions", []),
        Field("created_at"),
        Field("updated_at"),
    )
    unique = tuple(
        Unique((name,), name, only={name: {"$gt": ""}}, everywhere=True)
        for name in ("twilio_account_sid", "somleng_account_sid")
    )
    guards = tuple(
        Guard(name, "account_id") for name in ("access_tokens", "users", "contacts", "callouts", "batch_operations")
    )
    filters = COMMON_FILTERS


ACCOUNTS = Accounts()
