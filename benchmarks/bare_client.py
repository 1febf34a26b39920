"""The Twilio library alone: ``python -m benchmarks.bare_client URL CALLS`` asks for so many calls, 100 at a time."""

from __future__ import annotations

import asyncio
import sys

from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

IN_FLIGHT = 100


async def main(url: str, calls: int) -> None:
    async with AsyncTwilioHttpClient() as wire:
        client = Client("AC" + "1" * 32, "secret", http_client=wire)
        client.api.base_url = url
        numbers = iter(range(calls))

        async def place() -> None:
            for number in numbers:
                await client.calls.create_async(
                    to=f"+2526{number:08}", from_="1234", url="https://demo.twilio.com/docs/voice.xml"
                )

        await asyncio.gather(*(place() for _ in range(IN_FLIGHT)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
