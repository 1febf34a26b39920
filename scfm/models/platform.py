"""Which provider an account calls through, and with which credentials: the account's, else the server's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scfm.errors import SecretUnreadable
from scfm.models.account import FORMER
from scfm.providers.abilities import is_signalwire
from scfm.providers.credentials import Credentials
from scfm.runtime.secret_box import SecretBox, key_of
from scfm.settings import Settings
from scfm.storage.query import Document

TWILIO_SID = "AC"


@dataclass(frozen=True)
class Platform:
    """The server's own settings; ``simulator`` are the credentials at the built-in carrier, if it runs.

    ``secret_box`` unseals the auth tokens of accounts.
    """

    settings: Settings
    simulator: Credentials | None = None
    secret_box: SecretBox | None = None

    def credentials(self, account: Document) -> Credentials:
        """The credentials with which ACCOUNT calls."""
        name = account["settings"].get("platform_provider_name") or self.settings.platform_provider
        if name == "simulator":
            return self.simulator or Credentials("simulator", "", "", None)
        provider = "somleng" if name == "somleng" else "twilio"
        sid, token = account[f"{provider}_account_sid"], account[f"{provider}_auth_token"]
        if not sid and not token:
            sid, token = self._of_server(provider)
        return self._unsealed(provider, sid or "", token or "")

    def unseal(self, stored: str) -> str:
        """The auth token or signing key of an account that is STORED so. Raises SecretUnreadable."""
        if self.secret_box is not None:
            return self.secret_box.unseal(stored)
        if (key := key_of(stored)) is not None:
            raise SecretUnreadable(key)
        return stored

    def former_credentials(self, account: Document, since: datetime) -> list[Credentials]:
        """The credentials of other sids that ACCOUNT had at some time after SINCE, the latest first."""
        sid = self.credentials(account).account_sid
        former = [pair for pair in account.get(FORMER, ()) if pair["at"] >= since and pair["sid"] != sid]
        return [
            self._unsealed(provider, pair["sid"], pair["token"])
            for pair in reversed(former)
            for provider in self.providers_of(pair["sid"])[-1:]
        ]

    def token_of_server(self, sid: str) -> str:
        """What webhooks of SID are signed with if it is the server's own, which accounts without credentials share.

        Its auth token, or signing key; '' for another sid.
        """
        if self.simulator is not None and sid == self.simulator.account_sid:
            return self.simulator.auth_token
        for provider in self.providers_of(sid):
            server_sid, token = self._of_server(provider)
            if sid and sid == server_sid:
                key = self.settings.twilio_signing_key if provider == "twilio" else ""
                return key or token
        return ""

    def providers_of(self, sid: str) -> tuple[str, ...]:
        """The providers that a sid may be of: SignalWire, which is used as Twilio, has ids of another form."""
        by_form = provider_of(sid)
        if by_form != "twilio" and is_signalwire(self._base_url("twilio")):
            return (by_form, "twilio")
        return (by_form,)

    def _unsealed(self, provider: str, sid: str, stored: str) -> Credentials:
        """The credentials of an account, whose auth token is STORED so."""
        token = unreadable = ""
        try:
            token = self.unseal(stored)
        except SecretUnreadable as error:
            unreadable = str(error)
        return Credentials(provider, sid, token, self._base_url(provider), unreadable)

    def _of_server(self, provider: str) -> tuple[str, str]:
        """The server's own sid and auth token at a provider; '' where they are not set."""
        return getattr(self.settings, f"{provider}_account_sid"), getattr(self.settings, f"{provider}_auth_token")

    def _base_url(self, provider: str) -> str | None:
        if provider == "twilio":
            return self.settings.twilio_client_rest_api_base_url or None
        host = self.settings.somleng_client_rest_api_host
        return self.settings.somleng_client_rest_api_base_url or (f"https://{host}" if host else None)


def provider_of(sid: str) -> str:
    """The provider that a sid is of, by its form: ``twilio`` or ``somleng``."""
    return "twilio" if sid.startswith(TWILIO_SID) else "somleng"
