"""The simulated carrier of a trial, in a thread of its own: one for each seed, all on the same port."""

from __future__ import annotations

import asyncio
import secrets
import threading
from typing import Any, Self

from scfm.simulator.call import Call
from scfm.simulator.faults import Faults
from scfm.simulator.ledger import CreateRequest
from scfm.simulator.simulator import Simulator

SECONDS = 30.0


class Carrier:
    """A running simulator, and its books."""

    def __init__(self, port: int, **options: Any) -> None:
        self._port = port
        self._simulator = Simulator(**options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def rung(self) -> dict[str, list[str]]:
        """By number: the ids of the calls that were made to it."""
        made: dict[str, list[str]] = {}
        for received in list(self._simulator.ledger.requests):
            if received.sid is not None:
                made.setdefault(received.to, []).append(received.sid)
        return made

    def asked(self) -> list[str]:
        """The number of every request that came, in order."""
        return [received.to for received in list(self._simulator.ledger.requests)]

    def statuses(self) -> dict[str, str]:
        """By the call's id: its status."""
        return {call.sid: call.status for call in list(self._simulator.carrier.calls)}

    def requests(self) -> list[CreateRequest]:
        """Every request that came, in order."""
        return list(self._simulator.ledger.requests)

    def calls_by_number(self) -> dict[str, list[Call]]:
        """By number, the calls that were taken, in order."""
        taken: dict[str, list[Call]] = {}
        for call in list(self._simulator.carrier.calls):
            taken.setdefault(call.to, []).append(call)
        return taken

    def acknowledged(self, sid: str) -> bool:
        """Whether somebody pressed a key in a call, and the application hung up upon that, as ``Message`` does."""
        transcript = self._simulator.carrier.transcript(sid)
        if transcript is None or not transcript.events("pressed"):
            return False
        *_, last = transcript
        return last["event"] == "hangup" and last["by"] == "application"

    def change_faults(self, faults: Faults) -> None:
        """What goes wrong from now on, which it does when this returns."""

        async def change() -> None:
            carrier = self._simulator.carrier
            carrier.faults = carrier.callbacks.faults = faults

        self._run(change())

    def refuse(self, refused: bool) -> None:
        """Whether every request is answered with 401 from now on, as if all credentials were wrong."""
        self._simulator.carrier.auth_token = secrets.token_hex(16) if refused else None

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._simulator.start(self._port))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._simulator.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()


__all__ = ["Carrier", "Faults"]
