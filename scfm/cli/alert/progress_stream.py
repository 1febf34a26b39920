"""The progress of a callout as the server streams it, over connections that break."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

from scfm.cli.server_api import REQUEST_BACKOFF, AnswerStream, ServerApi, ServerUnreachable
from scfm.results.callout_statistics import CalloutStatistics

# How long a server that has once answered may be away: a restart, or a line that is down.
AWAY_SECONDS = 600.0


class StreamMessage(NamedTuple):
    """A server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    event_id: str
    data: str


def progress(
    api: ServerApi, callout_id: int, away_seconds: float, lost: Callable[[str], None]
) -> Iterator[CalloutStatistics | None]:
    """The statistics, each time they change; None where the server has nothing new, at least every 15 s.

    A stream that breaks off, or ends, is opened again after a while, at the event that came last; LOST is told why.
    Raises ServerUnreachable when that has not worked for AWAY_SECONDS, RequestRefused where the server refuses it.
    """
    last, failures = "", 0
    deadline = time.monotonic() + api.patience
    while True:
        try:
            headers = {"Last-Event-ID": last} if last else {}
            with api.stream(f"/api/callouts/{callout_id}/progress", headers=headers) as stream:
                for message in _messages(stream):
                    failures, deadline = 0, time.monotonic() + away_seconds
                    if message is None:
                        yield None
                    else:
                        yield cast(CalloutStatistics, json.loads(message.data))
                        last = message.event_id
        except ServerUnreachable as error:
            lost(str(error))
            if time.monotonic() > deadline:
                raise
        failures += 1
        time.sleep(REQUEST_BACKOFF.seconds(failures))


def _messages(stream: AnswerStream) -> Iterator[StreamMessage | None]:
    """The events of a stream, None for a comment. One that is cut off is left out."""
    event_id, data = "", list[str]()
    while line := stream.readline():
        field, _, value = line.decode(errors="replace").rstrip("\r\n").partition(":")
        if field == "id":
            event_id = value.strip()
        elif field == "data":
            data.append(value.strip())
        elif not line.strip():
            yield StreamMessage(event_id, "\n".join(data)) if data else None
            data.clear()
