"""One server and one provider for all chapters, and an account of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.guide.provider import Provider
from tests.log_secrets import assert_no_secrets
from tests.server import Server

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
        "LOG_LEVEL": "debug",
    }
    with Server(tmp_path_factory.mktemp("data"), settings) as server:
        yield server
    # Of all chapters that were played by this process.
    assert_no_secrets(server.stderr, server.token, AUTH_TOKEN)
