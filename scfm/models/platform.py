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
        """The account that the provider knows as SID, and the auth token its webhooks are signed with.

        A sid of the server's own settings stands for the first account.
        """
        own = "twilio" if sid.startswith(TWILIO_SID) else "somleng"
        if not sid:
            return None
        account = await store.everyone.find_one("accounts", {f"{own}_account_sid": sid})
        if account is not None:
            return account, account[f"{own}_auth_token"] or ""
        token = self._token_of_server(own, sid)
        if token is None:
            return None
        first = await store.everyone.find("accounts", {}, limit=1)
        return (first[0], token) if first else None

    def is_of_server(self, sid: str) -> bool:
        """Whether the sid is the server's own, shared by all accounts that have none."""
        own = "twilio" if sid.startswith(TWILIO_SID) else "somleng"
        return self._token_of_server(own, sid) is not None

    def _name(self, settings: Mapping[str, Any]) -> str:
        return settings.get("platform_provider_name") or self.settings.platform_provider or "twilio"

    def _of_server(self, own: str) -> tuple[str, str]:
        return getattr(self.settings, f"{own}_account_sid"), getattr(self.settings, f"{own}_auth_token")

    def _token_of_server(self, own: str, sid: str) -> str | None:
        if self.simulator is not None and sid == self.simulator.account_sid:
            return self.simulator.auth_token
        of_server, token = self._of_server(own)
        return token if sid == of_server else None

    def _base_url(self, own: str) -> str | None:
        if own == "twilio":
            return self.settings.twilio_client_rest_api_base_url or None
        host = self.settings.somleng_client_rest_api_host
        return self.settings.somleng_client_rest_api_base_url or (f"https://{host}" if host else None)
