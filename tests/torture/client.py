"""A client that does not give up: it names each request and sends it again until it is answered."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any

from tests.server import Answer, Server

# A named request whose process has died is carried out again after a minute.
SECONDS = 90.0
PAUSE = 0.05
# What is worth trying again: a name that is being carried out, a proxy without a server, a database that is away.
AGAIN = (409, 502, 503)


class PatientClient:
    """Asks one server after another until one answers. ``troubles`` counts what it met."""

    def __init__(self, servers: Sequence[Server], token: str, seed: int = 0) -> None:
        self._servers = servers
        self._token = token
        self._chance = random.Random(seed)
        self.troubles: Counter[str] = Counter()

    def get(self, path: str) -> Any:
        return self._insist("GET", path, None).json

    def post(self, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        """Create, or fire an event: once, however often it must be sent. The answer's body."""
        return self._insist("POST", path, fields or {}).json

    def move(self, path: str, events: str, event: str, *statuses: str, **fields: Any) -> str:
        """Fire the event until the document has one of the statuses, and give that.

        It is not named: a name that died with its server holds up.
        """
        deadline = time.monotonic() + SECONDS
        while (found := str(self.get(path)["status"])) not in statuses:
            self._try("POST", f"{path}/{events}", {}, json={"event": event, **fields})
            assert time.monotonic() < deadline, (path, event)
        return found

    def repeat(self, path: str, fields: Mapping[str, Any], *statuses: int) -> None:
        """Send what may be carried out more than once until it is answered with 201, or one of these statuses."""
        answer = self._until_answered("POST", path, {}, json=fields)
        assert answer.status in (201, *statuses), (path, answer)

    def upload(self, path: str, content_type: str, body: bytes) -> None:
        """Send a file, as often as that is needed: whoever takes it takes no line twice."""
        answer = self._until_answered("POST", path, {"Content-Type": content_type}, body=body)
        assert answer.status in (200, 201), (path, answer)

    def patch(self, path: str, fields: Mapping[str, Any]) -> None:
        self._insist("PATCH", path, fields)

    def _insist(self, method: str, path: str, fields: Mapping[str, Any] | None) -> Answer:
        name = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        answer = self._until_answered(method, path, name, json=fields)
        assert answer.status in (200, 201, 204), (method, path, answer)
        return answer

    def _until_answered(self, method: str, path: str, headers: Mapping[str, str], **content: Any) -> Answer:
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._try(method, path, headers, **content)
            if answer is not None and answer.status not in AGAIN:
                return answer
            self.troubles["no answer" if answer is None else str(answer.status)] += 1
            assert time.monotonic() < deadline, (method, path, answer, dict(self.troubles))
            time.sleep(PAUSE)

    def _try(self, method: str, path: str, headers: Mapping[str, str], **content: Any) -> Answer | None:
        server = self._chance.choice(self._servers)
        try:
            answer = server.request(method, path, headers=headers, token=self._token, **content)
        except (OSError, HTTPException):
            return None
        # Whatever is done to a server, and to its database, nothing in it is wrong.
        assert answer.status != 500, (method, path, answer)
        return answer
