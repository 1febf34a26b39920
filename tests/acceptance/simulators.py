"""Simulators that run, clients of them, and the application that they report to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from tornado.web import Application, RequestHandler
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from scfm.simulator.callee import Callee, CalleeRule
from scfm.simulator.simulator import Simulator

SID, TOKEN = "AC" + "1" * 32, "secret"
HELLO = "<Response><Say>Water is rising</Say></Response>"
ANSWERS = CalleeRule(Callee(after=1.0), prefix="+2")


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[Simulator, Client]]:
    """A simulator that runs, and a Twilio client that is pointed at it."""
    simulator = Simulator(**{"callees": (ANSWERS,), **options})
    base_url = await simulator.start()
    http = TwilioHttpClient(timeout=120)
    client = Client(SID, TOKEN, http_client=http)
    client.api.base_url = base_url
    try:
        yield simulator, client
    finally:
        http.session.close()
        await simulator.stop()


async def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


async def refusal(client: Client, **parameters: Any) -> TwilioRestException:
    """What Twilio's library makes of a create request that is refused."""
    with pytest.raises(TwilioRestException) as raised:
        await asyncio.to_thread(client.calls.create, **parameters)
    return raised.value


async def create(client: Client, to: str = "+252662345678", **parameters: Any) -> Any:
    return await asyncio.to_thread(client.calls.create, to=to, from_="1234", **{"twiml": HELLO, **parameters})


class Told(RequestHandler):
    """Keeps what callbacks and requests for TwiML said, and answers all with the same."""

    def initialize(self, told: list[dict[str, str]], twiml: str) -> None:
        self.told, self.twiml = told, twiml

    def post(self) -> None:
        self.told.append({name: self.get_body_argument(name) for name in self.request.body_arguments})
        self.set_header("Content-Type", "application/xml")
        self.finish(self.twiml)


@contextmanager
def application(twiml: str = HELLO) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Where callbacks and requests for TwiML come to, and what they said."""
    told: list[dict[str, str]] = []
    server = Application([("/", Told, {"told": told, "twiml": twiml})]).listen(0, "127.0.0.1")
    try:
        port = next(iter(server._sockets.values())).getsockname()[1]
        yield f"http://127.0.0.1:{port}/", told
    finally:
        server.stop()
