"""The simulator as a whole: a carrier, and an HTTP server in front of it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from scfm.errors import StartError
from scfm.simulator.api import application
from scfm.simulator.callee import CalleeRule
from scfm.simulator.carrier import QUICK, SEED, Carrier
from scfm.simulator.faults import Faults
from scfm.simulator.journal import Journal
from scfm.simulator.ledger import Ledger

# An idle client may stay for an hour; one that waits for its answer when we stop gets this many seconds.
CLIENT_KEEP_ALIVE, PATIENCE = 3600.0, 0.1


class Simulator:
    """Start it, point a Twilio client at the URL it gives, and look into ``ledger`` for what happened.

    The parameters are the carrier's; ``ledger`` is a file to append to, ``journal`` keeps calls over a restart.
    """

    def __init__(
        self,
        *,
        account_sid: str | None = None,
        auth_token: str | None = None,
        seed: int = SEED,
        life_size: float = QUICK,
        faults: Faults | None = None,
        callees: Sequence[CalleeRule] = (),
        ledger: Path | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.carrier = Carrier(
            account_sid=account_sid,
            auth_token=auth_token,
            seed=seed,
            life_size=life_size,
            faults=faults,
            callees=callees,
            ledger=ledger,
            journal=journal,
        )
        self._server: web.AppRunner | None = None

    @property
    def ledger(self) -> Ledger:
        """Every create request, in the order they came."""
        return self.carrier.ledger

    @property
    def base_url(self) -> str:
        """Where the API is, once started: ``http://127.0.0.1:PORT``."""
        return self.carrier.base_url

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> str:
        """Listen, on a free port if ``port`` is 0, and give the base URL. Raises StartError."""
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            raise StartError(f"the simulator cannot listen on {host}:{port}: {error.strerror}") from error
        listener.setblocking(False)
        name = f"[{host}]" if ":" in host else host
        try:
            self.carrier.open(f"http://{name}:{listener.getsockname()[1]}")
        except StartError:
            listener.close()
            raise
        self._server = web.AppRunner(
            application(self.carrier), access_log=None, keepalive_timeout=CLIENT_KEEP_ALIVE, shutdown_timeout=PATIENCE
        )
        await self._server.setup()
        await web.SockSite(self._server, listener, backlog=1024).start()
        return self.base_url

    async def stop(self) -> None:
        """Stop listening, end every call where it is, close every connection. Harmless if not started."""
        server, self._server = self._server, None
        if server is None:
            return
        for site in list(server.sites):
            await site.stop()
        await self.carrier.close()
        await server.cleanup()
