"""Accounts: whose contacts and callouts they are, and with which credentials they call."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scfm.clock import now
from scfm.errors import SecretUnreadable
from scfm.models import hints, msisdn
from scfm.models.call_hold import HELD_AT
from scfm.models.call_work import HANG_UP_INDEX
from scfm.models.declaration import COMMON_FILTERS, Guard
from scfm.models.dial_allow_list import DIAL_ALLOW_LIST, read_dial_allow_list
from scfm.models.fields import Field, FieldError, Id, Metadata, Rules, Text, Time
from scfm.models.filters import text
from scfm.models.opt_out_digest import OPT_OUT_KEY
from scfm.models.resource import Resource
from scfm.models.stored_secrets import nothing
from scfm.models.webhook_event import TO_TELL_INDEX
from scfm.runtime.secret_box import SecretBox, is_sealed, shown_of
from scfm.schemas import Formats, Schema, violations
from scfm.settings import PROVIDERS
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

SUPER_ADMIN = "super_admin"
APPROVAL_REQUIRED = "approval_required"


# Of an auth token. Those of Twilio have 32 characters, those of Somleng 64.
MAX_AUTH_TOKEN = 256
# What was replaced of an account's credentials: ``[{sid, token, at}]``, the oldest first, the tokens as they were
# stored. It is never shown.
FORMER = "_former_credentials"
# For so long it still checks webhooks, and so many pairs of an account are kept.
FORMER_RETENTION = timedelta(days=1)
MAX_FORMER_TOKENS = 10


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
    """A provider's auth token: taken, never given back; only its last four characters are shown. Stored sealed."""

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = super().read(given, old, rules)
        if not value or value == old:
            return value or None
        value = value.strip()
        if any(unicodedata.category(character)[0] in "ZC" for character in value):  # separators, control characters
            raise FieldError("is invalid")
        if len(value) > MAX_AUTH_TOKEN:
            raise FieldError(f"is too long (maximum is {MAX_AUTH_TOKEN} characters)")
        if not value:
            return None
        box = rules.secret_box
        if box is None:
            return value
        return old if old is not None and _is_sealed_in(box, old, value) else box.seal(value, _shown_end(value))

    def show(self, document: Document) -> Any:
        value = document.get(self.name)
        return None if value is None else "*" * 8 + (shown_of(value) if is_sealed(value) else _shown_end(value))


def _shown_end(token: str) -> str:
    return token[-4:] if len(token) > 8 else ""


def _is_sealed_in(box: SecretBox, sealed: str, token: str) -> bool:
    """Whether this is the token that was sealed; not where that cannot be read any more."""
    try:
        return is_sealed(sealed) and box.unseal(sealed) == token
    except SecretUnreadable:
        return False


@dataclass(frozen=True)
class AccountSettings(Field):
    """How the account calls, as the schema ``account_settings`` has it.

    A client sets each by its own name, at the top level; an object or array given for one is ignored, but for the
    list of numbers that may be dialled.
    """

    settable = True

    @property
    def accepts(self) -> Mapping[str, Schema]:
        schemas = {name: {"$ref": f"account_settings.json#/properties/{name}"} for name in SETTINGS}
        return {**schemas, "default_country": {**schemas["default_country"], "enum": [*COUNTRY_CHOICES, "", None]}}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        values = {
            name: given[name]
            for name in SETTINGS
            if name in given and name != DIAL_ALLOW_LIST and not isinstance(given[name], dict | list)
        }
        found = violations("account_settings", values, FORMATS)
        hint = {"platform_provider_name": hints.choice_of(PROVIDERS)}
        errors = {str(name): FieldError(message, hint=hint.get(str(name))) for (name,), message in found.items()}
        if DIAL_ALLOW_LIST in given:
            try:
                values[DIAL_ALLOW_LIST] = read_dial_allow_list(given[DIAL_ALLOW_LIST], rules.country) or None
            except FieldError as error:
                errors[DIAL_ALLOW_LIST] = error
        if errors:
            raise FieldError(parts=errors)
        kept = {name: value for name, value in old.items() if name not in values}
        return kept | {name: SETTINGS[name](value) for name, value in values.items() if value not in CLEARED}


# What clears a setting.
CLEARED = (None, "")
COUNTRY_CHOICES = sorted(msisdn.COUNTRIES)
# The settings of an account, each with how a value is stored that fits its schema.
SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "platform_provider_name": str,
    "calls_per_second": float,
    "calls_in_flight": int,
    "default_country": lambda country: country.strip().upper(),
    DIAL_ALLOW_LIST: list,
    APPROVAL_REQUIRED: lambda given: text(given) == "true",
}


def _is_rate(value: Any) -> bool:
    if value in CLEARED:
        return True
    written = text(value) or ""
    return re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", written) is not None and float(written) > 0


def _is_count(value: Any) -> bool:
    return value in CLEARED or re.fullmatch(r"[1-9][0-9]{0,5}", text(value) or "") is not None


def _is_country(value: Any) -> bool:
    return value in CLEARED or (isinstance(value, str) and value.strip().upper() in msisdn.COUNTRIES)


FORMATS = Formats({"calls-per-second": _is_rate, "calls-in-flight": _is_count, "country": _is_country})


class Accounts(Resource):
    kind = "account"
    collection = "accounts"
    tenant = False
    fields = (
        Id("id"),
        Metadata("metadata", {}),
        AccountSettings("settings", {}),
        Sid("twilio_account_sid"),
        Sid("somleng_account_sid"),
        Secret("twilio_auth_token"),
        Secret("somleng_auth_token"),
        Field("permissions", []),
        Time("created_at"),
        Time("updated_at"),
        Secret("twilio_signing_key"),
        Time(HELD_AT),
    )
    guards = tuple(
        Guard(name, "account_id")
        for name in (
            *("access_tokens", "users", "contacts", "callouts", "batch_operations", "opt_outs", "call_flows"),
            *("audio_files", "webhook_endpoints"),
        )
    )
    filters = COMMON_FILTERS
    secrets = {name: name for name in ("twilio_auth_token", "somleng_auth_token", "twilio_signing_key")}
    sealed = {**dict.fromkeys(secrets, _shown_end), f"{FORMER}.token": nothing, OPT_OUT_KEY: nothing}
    indexes = (
        Index("twilio_account_sid"),
        Index("somleng_account_sid"),
        HANG_UP_INDEX,
        TO_TELL_INDEX,
        Index(f"{FORMER}.at", name="former_credentials", only={f"{FORMER}.at": {"$exists": True}}),
    )

    async def replace(self, view: TenantView, old: Document, changes: Document) -> Document | None:
        """Credentials that are replaced are kept for a day, in the same write: see ``FORMER``."""
        return await super().replace(view, old, {**changes, **_former_credentials(old, {**old, **changes})})


def _former_credentials(old: Document, new: Document) -> Document:
    """By its field, the former credentials of an account that changes from OLD to NEW; empty if none are replaced."""
    moment = now()
    replaced = [
        {"sid": sid, "token": token, "at": moment}
        for sid, token in (_pair(old, name) for name in ("twilio", "somleng"))
        if sid and token and (sid, token) not in (_pair(new, "twilio"), _pair(new, "somleng"))
    ]
    if not replaced:
        return {}
    replaced_pairs = {(former["sid"], former["token"]) for former in replaced}
    earlier = [
        former
        for former in old.get(FORMER, ())
        if former["at"] > moment - FORMER_RETENTION and (former["sid"], former["token"]) not in replaced_pairs
    ]
    return {FORMER: [*earlier, *replaced][-MAX_FORMER_TOKENS:]}


def _pair(account: Document, name: str) -> tuple[str | None, str | None]:
    return account[f"{name}_account_sid"], account[f"{name}_auth_token"]


async def forget_former(view: TenantView) -> None:
    """Drop the credentials that were replaced more than a day ago."""
    expired = {"at": {"$lt": now() - FORMER_RETENTION}}
    await view.update_many("accounts", {f"{FORMER}.at": expired["at"]}, {"$pull": {FORMER: expired}})
    await view.update_many("accounts", {FORMER: []}, {"$unset": {FORMER: ""}})


ACCOUNTS = Accounts()


def webhook_secret(account: Document, provider: str) -> str | None:
    """What webhooks for the account's own sid at a provider are signed with: its signing key, else its auth token.

    As it is stored: sealed.
    """
    secret: str | None = account.get(f"{provider}_signing_key") or account[f"{provider}_auth_token"]
    return secret


def requires_approval(account: Document) -> bool:
    """Whether the account's plans are started by approvers alone: see ``plan_approval``."""
    return account["settings"].get(APPROVAL_REQUIRED) is True


def country_of(account: Document) -> str | None:
    """The account's ``default_country``, two capital letters, or None."""
    country: str | None = account["settings"].get("default_country")
    return country


async def default_country(view: TenantView) -> str | None:
    """The ``default_country`` of the account that VIEW sees, as the database has it now."""
    account = await view.find_one(ACCOUNTS.collection, {"_id": view.account_id})
    return country_of(account) if account else None
