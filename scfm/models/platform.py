"""Which provider an account calls through, and with which credentials: the account's, else the server's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scfm.models.account import FORMER
from scfm.providers.credentials import Credentials
from scfm.settings import Settings
from scfm.storage.query import Document

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

    def former_credentials(self, account: Document, since: datetime) -> list[Credentials]:
        """Those of other sids that ACCOUNT had at some time after SINCE, the latest first."""
        sid = self.credentials(account).account_sid
        former = [pair for pair in account.get(FORMER, ()) if pair["at"] >= since and pair["sid"] != sid]
        return [
            Credentials(name, pair["sid"], pair["token"], self._base_url(name))
            for pair in reversed(former)
            for name in (provider_of(pair["sid"]),)
        ]

    def token_of_server(self, sid: str) -> str:
        """The auth token of the server's own SID, which all accounts share that have none; '' for any other."""
        if self.simulator is not None and sid == self.simulator.account_sid:
            return self.simulator.auth_token
        of_server, token = self._of_server(provider_of(sid))
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


def provider_of(sid: str) -> str:
    """Whose sid it looks like: ``twilio`` or ``somleng``."""
    return "twilio" if sid.startswith(TWILIO_SID) else "somleng"
