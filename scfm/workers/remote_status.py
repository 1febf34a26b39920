"""Asking the provider about a call that it has: how, and when for the first time."""

from __future__ import annotations

from datetime import datetime

from scfm.clock import later
from scfm.models.stored_documents import PhoneCallDocument
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.storage.query import Document
from scfm.workers.calling_accounts import CallingAccounts


async def fetch_remote_call(provider: Provider, accounts: CallingAccounts, call: PhoneCallDocument) -> RemoteCall:
    """What the provider says of a call that it has taken, with its account's credentials. Raises ProviderError."""
    return await accounts.ask(call["account_id"], lambda own: provider.fetch_call(own, str(call["remote_call_id"])))


def first_check(params: Document, policy: str, seconds: float) -> datetime | None:
    """When to ask about a call that the provider has just accepted with these PARAMS; None for never.

    POLICY ``auto`` leaves those that have a status callback to the job ``SilentCalls``.
    """
    if policy == "never" or (policy == "auto" and params.get("status_callback")):
        return None
    return later(seconds)
