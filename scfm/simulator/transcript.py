"""What happened in a call, in order, as it can be read or asserted on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MAX_TRANSCRIPT_ENTRIES = 2000


class Transcript:
    """A list of ``{"at": seconds of the talk, "event": ..., ...}``, bounded in length.

    Events: requested; a verb in lower case (say, play, pause, gather, record, redirect); pressed, spoken,
    silence, recorded; warning, error; hangup.
    """

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []

    def note(self, at: float, event: str, **details: Any) -> None:
        """Write down one thing, unless the transcript is full."""
        if len(self._entries) < MAX_TRANSCRIPT_ENTRIES:
            self._entries.append({"at": round(at, 3), "event": event, **details})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The entries with one of these event names."""
        return [entry for entry in self._entries if entry["event"] in names]
