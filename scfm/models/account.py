"""Accounts: whose contacts and callouts they are, and with which credentials they call."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scfm.clock import now
from scfm.models import hints, msisdn
from scfm.models.declaration import COMMON_FILTERS, Guard
from scfm.models.fields import NOT_IN_LIST, Field, FieldError, Id, Metadata, Rules, Schema, Text, Time
from scfm.models.filters import text
from scfm.models.resource import Resource
from scfm.settings import PROVIDERS
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

SUPER_ADMIN = "super_admin"


# Of an auth token. Those of Twilio have 32 characters, those of Somleng 64.
MAX_TOKEN = 256
# What was replaced of an account's credentials: ``[{sid, token, at}]``, the oldest first. It is never shown.
FORMER = "_former_credentials"
# For so long it still checks webhooks, and so many pairs of an account are kept.
FORMER_KEPT = timedelta(days=1)
MAX_FORMER = 10


@dataclass(frozen=True)
class Sid(Text):
    """The name of an account at a provider; it stands in URLs, so only plain characters are taken.

    It is no proof: several accounts may have the same one.
    """

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = (super().read(given, old, rules) or "").strip()
        if not value:
            return None
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}\Z", value):
            raise FieldError("is invalid")
        return value


@dataclass(frozen=True)
class Secret(Text):
    """A provider's auth token: taken, never given back; only its last four characters are shown."""

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = super().read(given, old, rules)
        if not value or value == old:
            return value or None
        value = value.strip()
        if any(unicodedata.category(character)[0] in "ZC" for character in value):  # separators, control characters
            raise FieldError("is invalid")
        if len(value) > MAX_TOKEN:
            raise FieldError(f"is too long (maximum is {MAX_TOKEN} characters)")
        return value or None

    def show(self, document: Document) -> Any:
        value = document.get(self.name)
        return None if value is None else "*" * 8 + (value[-4:] if len(value) > 8 else "")


@dataclass(frozen=True)
class Settings(Field):
    """How the account calls. A client sets each by its own name, at the top level."""

    settable = True

    @property
    def given(self) -> Mapping[str, Schema]:
        return {
            "platform_provider_name": {"enum": [*PROVIDERS, "", None]},
            "calls_per_second": {"type": ["number", "string", "null"]},
            "calls_in_flight": {"type": ["integer", "string", "null"]},
            "default_country": {"enum": [*sorted(msisdn.COUNTRIES), "", None]},
        }

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        new, errors = dict(old), dict[str, FieldError]()
        for name, check in SETTINGS.items():
            value = given.get(name)
            if name not in given or isinstance(value, (dict, list)):
                continue
            new.pop(name, None)
            if value in (None, ""):
                continue
            try:
                new[name] = check(value)
            except FieldError as error:
                errors[name] = error
        if errors:
            raise FieldError(parts=errors)
        return new


def _provider(value: Any) -> str:
    if value not in PROVIDERS:
        raise FieldError(NOT_IN_LIST, hint=hints.one_of(PROVIDERS))
    return str(value)


def _rate(value: Any) -> float:
    written = text(value) or ""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?\Z", written, re.ASCII) or not float(written):
        raise FieldError("must be a number greater than 0")
    return float(written)


def _count(value: Any) -> int:
    written = text(value) or ""
    if not re.fullmatch(r"[1-9][0-9]{0,5}\Z", written, re.ASCII):
        raise FieldError("must be a whole number greater than 0")
    return int(written)


def _country(value: Any) -> str:
    written = value.strip().upper() if isinstance(value, str) else None
    if written not in msisdn.COUNTRIES:
        raise FieldError("must be the two letters of a country (ISO 3166-1), such as KH")
    return written


# What an account may set of how it calls: the provider, how fast, calls a second and at once, and in which country
# a phone number is that does not say so.
SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "platform_provider_name": _provider,
    "calls_per_second": _rate,
    "calls_in_flight": _count,
    "default_country": _country,
}


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
        Time("created_at"),
        Time("updated_at"),
    )
    guards = tuple(
        Guard(name, "account_id") for name in ("access_tokens", "users", "contacts", "callouts", "batch_operations")
    )
    filters = COMMON_FILTERS
    indexes = (
        Index("twilio_account_sid"),
        Index("somleng_account_sid"),
        Index(f"{FORMER}.at", name="former_credentials", only={f"{FORMER}.at": {"$exists": True}}),
    )

    async def replace(self, view: TenantView, old: Document, changes: Document) -> Document | None:
        """Credentials that are replaced are kept for a day, in the same write: see ``FORMER``."""
        return await super().replace(view, old, {**changes, **_former(old, {**old, **changes})})


def _former(old: Document, new: Document) -> Document:
    """What an account that changes from OLD to NEW keeps of its credentials."""
    moment = now()
    replaced = [
        {"sid": sid, "token": token, "at": moment}
        for sid, token in (_pair(old, name) for name in ("twilio", "somleng"))
        if sid and token and (sid, token) not in (_pair(new, "twilio"), _pair(new, "somleng"))
    ]
    if not replaced:
        return {}
    anew = {(one["sid"], one["token"]) for one in replaced}
    kept = [
        one
        for one in old.get(FORMER, ())
        if one["at"] > moment - FORMER_KEPT and (one["sid"], one["token"]) not in anew
    ]
    return {FORMER: [*kept, *replaced][-MAX_FORMER:]}


def _pair(account: Document, name: str) -> tuple[str | None, str | None]:
    return account[f"{name}_account_sid"], account[f"{name}_auth_token"]


async def forget_former(view: TenantView) -> None:
    """Drop the credentials that were replaced more than a day ago."""
    old = {"at": {"$lt": now() - FORMER_KEPT}}
    await view.update_many("accounts", {f"{FORMER}.at": old["at"]}, {"$pull": {FORMER: old}})
    await view.update_many("accounts", {FORMER: []}, {"$unset": {FORMER: ""}})


ACCOUNTS = Accounts()


def country_of(account: Document) -> str | None:
    """The account's ``default_country``, two capital letters, or None."""
    country: str | None = account["settings"].get("default_country")
    return country


async def default_country(view: TenantView) -> str | None:
    """The ``default_country`` of the account that VIEW sees, as the database has it now."""
    account = await view.all_tenants.find_one("accounts", {"_id": view.account_id})
    return country_of(account) if account else None
