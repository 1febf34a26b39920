"""One server and one provider for all chapters, and an account of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.guide.provider import Provider
from tests.server import Client, Server

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "fedcba9876543210" * 2
FLOWS = "CallFlowLogic::AvfCapom::CapomShort,CallFlowLogic::AvfCapom::CapomLong"


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with Provider(ACCOUNT_SID, AUTH_TOKEN, call_sid_prefix="CA") as provider:
        yield provider


@pytest.fixture(scope="session")
def server(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "PLATFORM_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_CLIENT_REST_API_BASE_URL": provider.url,
        "REGISTERED_CALL_FLOW_LOGIC": FLOWS,
    }
    with Server(tmp_path_factory.mktemp("data"), settings) as server:
        yield server


@pytest.fixture
def api(server: Server) -> Client:
    """The server as a new account sees it."""
    return _new_account(server)


@pytest.fixture
def stranger(server: Server) -> Client:
    """The server as another new account sees it."""
    return _new_account(server)


def _new_account(server: Server) -> Client:
    super_admin = server.client()
    account = super_admin.post("/api/accounts", {})
    assert account.status == 201, account
    token = super_admin.post("/api/access_tokens", {"account_id": str(account.json["id"])})
    assert token.status == 201, token
    return server.client(token.json["token"])
