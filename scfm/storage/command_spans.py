"""A span for each command to MongoDB that is part of a request or of background work.

It is loaded where traces are wanted: see ``runtime/telemetry``.
"""

from __future__ import annotations

from typing import Any

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from scfm.runtime.spans import Spans, mark_failed


class CommandSpans(CommandListener):
    """Hears of commands in the task that gives them, so that their spans find their parents."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._open: dict[int, Any] = {}

    def started(self, event: CommandStartedEvent) -> None:
        name = event.command_name
        about = {"db.system.name": "mongodb", "db.operation.name": name}
        # getMore has the collection in a field of its own; commands such as ping have none.
        collection = event.command.get("collection") if name == "getMore" else event.command.get(name)
        if isinstance(collection, str):
            about["db.collection.name"] = collection
            name = f"{name} {collection}"
        if (span := self._spans.begin_command(name, about)) is not None:
            self._open[event.request_id] = span

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if (span := self._open.pop(event.request_id, None)) is not None:
            span.end()

    def failed(self, event: CommandFailedEvent) -> None:
        if (span := self._open.pop(event.request_id, None)) is not None:
            mark_failed(span)
            span.end()
