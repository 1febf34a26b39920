"""What requests to providers take, and how they end: for ``GET /metrics`` and for traces."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from scfm.providers.errors import AccountRefused, CallRejected, NotSent, ProviderError
from scfm.providers.transport import CallForm
from scfm.runtime import telemetry
from scfm.runtime.metrics import PROVIDER_REQUEST_SECONDS


@contextmanager
def measured(provider: str, name: str, form: CallForm | None = None) -> Iterator[None]:
    """A request to PROVIDER is made within it; NAME is what is asked. One whose FORM was withheld does not count."""
    began, result = time.monotonic(), "unknown"
    with telemetry.span(f"{name} at {provider}", {"scfm.provider": provider}) as span:
        try:
            yield
            result = "ok"
        except ProviderError as error:
            result = result_of(error)
            raise
        finally:
            if form is None or form.withheld is None:
                PROVIDER_REQUEST_SECONDS.observe(time.monotonic() - began, provider, result)
            if span is not None:
                span.set_attribute("scfm.result", result)


def result_of(error: ProviderError) -> str:
    """How a request ended that raised ERROR, as the label ``result`` has it."""
    if isinstance(error, AccountRefused):
        return "refused"
    if isinstance(error, CallRejected):
        return "rejected"
    if isinstance(error, NotSent):
        return "not_sent" if error.retry_after is None else "throttled"
    return "unknown"
