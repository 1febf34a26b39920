"""Traces by OpenTelemetry, where its variable for the collector is set: see docs/metrics.md. Else nothing is loaded.

Spans have names that the program knows: routes, jobs, commands, collections; never an account, a number or a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from scfm.errors import StartError

if TYPE_CHECKING:
    from scfm.runtime.spans import Spans

COLLECTOR_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NOTHING: Final[AbstractContextManager[Any]] = nullcontext()
_spans: Spans | None = None


def start(environment: Mapping[str, str]) -> None:
    """Begin to make spans, if ENVIRONMENT says where to send them; ``stop`` ends it.

    Raises StartError where the extra is not installed.
    """
    global _spans  # noqa: PLW0603 (as metrics, they are one for a process)
    if not any(environment.get(name) for name in COLLECTOR_VARIABLES):
        return
    try:
        from scfm.runtime.spans import Spans  # noqa: PLC0415 (it is not installed, or takes long to load)
    except ImportError as error:
        words = f"{COLLECTOR_VARIABLES[0]} is set, and OpenTelemetry is not installed ({error})"
        raise StartError(f"{words}: pip install 'scfm[telemetry]'") from None
    _spans = Spans(environment.get("OTEL_SERVICE_NAME") or "scfm")


def stop() -> None:
    """Make no more spans, and send those that there are."""
    global _spans  # noqa: PLW0603
    if _spans is not None:
        _spans.close()
        _spans = None


def spans() -> Spans | None:
    """What makes spans; None where none are wanted."""
    return _spans


def span(name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[Any]:
    """A span for what is done within it, if any are wanted; else it is None."""
    return _NOTHING if _spans is None else _spans.within(name, attributes)
