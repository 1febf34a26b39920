"""The least that can call so many people: ``python -m benchmarks.bare_application SIMULATOR_URL CALLS``.

Tornado, the Twilio library and one fixed TwiML, without a database: it keeps nothing, checks nothing, and sends as
many requests at once as our server does. What our server adds is measured beside it, through the same simulator.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client
from twilio.twiml.voice_response import VoiceResponse

from benchmarks.ground import SID, TOKEN, person
from scfm.runtime import event_loop
from scfm.settings import Settings

IN_FLIGHT = Settings().calls_in_flight


class Webhook(RequestHandler):
    """Answers the requests for TwiML and the status callbacks."""

    twiml = ""

    def post(self) -> None:
        self.set_status(201)
        self.set_header("Content-Type", "application/xml; charset=utf-8")
        self.finish(self.twiml)


async def call_everybody(provider: str, calls: int) -> None:
    """Call so many people, and answer their webhooks until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    response = VoiceResponse()
    response.say("Thanks for trying our documentation. Enjoy!")
    response.play("http://demo.twilio.com/docs/classic.mp3")
    Webhook.twiml = str(response)
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/webhook", Webhook)], log_function=lambda handler: None)).add_sockets(sockets)
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/webhook"
    print(url, flush=True)
    numbers = iter(range(1, calls + 1))
    async with AsyncTwilioHttpClient() as wire:
        client = Client(SID, TOKEN, http_client=wire)
        client.api.base_url = provider

        async def place() -> None:
            for number in numbers:
                await client.calls.create_async(
                    to=person(number)["msisdn"], from_="1234", url=url, status_callback=url
                )

        await asyncio.gather(*(place() for _ in range(IN_FLIGHT)))
    await ended.wait()


if __name__ == "__main__":
    event_loop.run(call_everybody(sys.argv[1], int(sys.argv[2])))
