"""Who talks to the server of a test file: its ``server`` fixture."""

from __future__ import annotations

import pytest

from tests.flows.phone_line import PhoneLine
from tests.server import Client, Server


@pytest.fixture
def client(server: Server) -> Client:
    return server.client()


@pytest.fixture
def line(server: Server) -> PhoneLine:
    return PhoneLine(server)
