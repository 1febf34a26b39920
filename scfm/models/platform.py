"""Which provider an account calls through, and with which credentials: the account's, else the server's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scfm.models.query import Document
from scfm.models.store import Store
from scfm.provider import Credentials
from scfm.settings import Settings

TWILIO_SID = "AC"


@dataclass(frozen=True)
class Platform:
    """The server's own settings; ``simulator`` are the credentials at the built-in carrier, if it runs."""

    settings: Settings
    simulator: Credentials | None = None

    def credentials(self, account: Document) -> Credentials:
        """The credentials with which ACCOUNT calls."""
        name = self._name(account["settings"])
        if name == "simulator":
            return self.simulator or Credentials("simulator", "", "", None)
        own = "somleng" if name == "somleng" else "twilio"
        sid, token = account[f"{own}_account_sid"], account[f"{own}_auth_token"]
        if not sid and not token:
            sid, token = self._of_server(own)
        return Credentials(own, sid or "", token or "", self._base_url(own))

    async def account_of(self, store: Store, sid: str) -> tuple[Document, str] | None:
        """The account that has SID as its own at the provider, and the auth token its webhooks are signed with."""
        own = _provider_of(sid)
        account = await store.everyone.find_one("accounts", {f"{own}_account_sid": sid}) if sid else None
        return None if account is None else (account, account[f"{own}_auth_token"] or "")

    async def heir(self, store: Store, sid: str) -> int | None:
        """Whose the calls are that come in under the server's SID: of an account that has it, too, else the first."""
        account = await self.account_of(store, sid)
        if account is not None:
            return int(account[0]["_id"])
        first = await store.everyone.find("accounts", {}, fields=["_id"], limit=1)
        return int(first[0]["_id"]) if first else None

    def token_of_server(self, sid: str) -> str:
        """The auth token of the server's own SID, which all accounts share that have none; '' for any other."""
        if self.simulator is not None and sid == self.simulator.account_sid:
            return self.simulator.auth_token
        of_server, token = self._of_server(_provider_of(sid))
        return str(token) if sid and sid == of_server else ""

    def _name(self, settings: Mapping[str, Any]) -> str:
        return settings.get("platform_provider_name") or self.settings.platform_provider or "twilio"

    def _of_server(self, own: str) -> tuple[str, str]:
        return getattr(self.settings, f"{own}_account_sid"), getattr(self.settings, f"{own}_auth_token")

    def _base_url(self, own: str) -> str | None:
        if own == "twilio":
            return self.settings.twilio_client_rest_api_base_url or None
        host = self.settings.somleng_client_rest_api_host
        return self.settings.somleng_client_rest_api_base_url or (f"https://{host}" if host else None)


def _provider_of(sid: str) -> str:
    return "twilio" if sid.startswith(TWILIO_SID) else "somleng"
