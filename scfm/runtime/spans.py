"""Spans by OpenTelemetry: only ``runtime/telemetry`` loads this, where traces are wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from scfm import __version__

# At the end, what has not been sent yet has so long.
MAX_FLUSH_SECONDS = 1.0

Attributes = Mapping[str, str | int]


class Spans:
    """Makes spans, and sends them, from a thread, as the library's own variables of the environment say.

    The text of an error is not kept: it may hold a phone number.
    """

    def __init__(self, service: str) -> None:
        about = Resource.create({"service.name": service, "service.version": __version__})
        self._provider = TracerProvider(resource=about, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("scfm", __version__)

    def close(self) -> None:
        """Send those that there are, in MAX_FLUSH_SECONDS."""
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        flushing.join(MAX_FLUSH_SECONDS)

    def within(self, name: str, attributes: Attributes) -> AbstractContextManager[Any]:
        """A span for what is done within it."""
        span: AbstractContextManager[Any] = self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        )
        return span

    def begin_request(self, method: str, route: str) -> Callable[[int], None]:
        """A span for the rest of this task; what is given ends it, with the status of the answer."""
        about = {"http.request.method": method, "http.route": route}
        request = self._tracer.start_span(f"{method} {route}", kind=SpanKind.SERVER, attributes=about)
        context.attach(trace.set_span_in_context(request))

        def end(status: int) -> None:
            request.set_attribute("http.response.status_code", status)
            if status >= 500:
                mark_failed(request)
            request.end()

        return end

    def begin_command(self, name: str, attributes: Attributes) -> Any:
        """A span for a command to the database, to be ended; None for one that is part of no other span."""
        if not trace.get_current_span().is_recording():
            return None
        return self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)


def mark_failed(span: Any) -> None:
    """What the span is of has failed."""
    span.set_status(Status(StatusCode.ERROR))
