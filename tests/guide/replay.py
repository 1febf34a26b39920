"""The guide, played from its first request to its last against a real server, each as printed, by curl."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from email.message import Message
from http.client import parse_headers
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from tests.guide.errata import ERRATA
from tests.guide.guide import HOST, Misprint, Request, Restart, read
from tests.guide.provider import Provider
from tests.guide.shapes import Names, compare_answers, compare_headers, resource_of
from tests.server import Server

# The account of the printed answers; the guide's reader puts the own one in place of the dummy values.
SOMLENG_SID = "0213d485-12cb-4d0d-9cb1-966546240a57"
SOMLENG_TOKEN = "the-somleng-auth-token"
STATUSES = {"GET": 200, "POST": 201, "PATCH": 204, "DELETE": 204}
PATIENCE_SECONDS = 60.0
PATIENCE_IN_ALL_SECONDS = 300.0


class Reply(NamedTuple):
    """What curl got: ``status`` is the status line's ``204 No Content``."""

    status: str
    headers: Message
    text: str

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.text) if self.text else None
        except ValueError:
            return self.text


class Replay:
    """One play of the guide. ``replies`` holds what each command got, also those run as misprinted."""

    def __init__(self, folder: Path, server: Server, provider: Provider) -> None:
        self.folder = folder
        self.server = server
        self.provider = provider
        self.token = ""
        self.names = Names()
        self.replies: dict[str, Reply] = {}
        self._patience = PATIENCE_IN_ALL_SECONDS
        self._settings: dict[str, str] = {}

    def play(self) -> None:
        """Play every step. The first account is the one that the server makes itself, the guide's is the second."""
        self.token = self.server.create_account()
        misprinted = [step for step in read(e for e in ERRATA if _harmless(e)) if isinstance(step, Request)]
        as_printed = {step.line: step for step in misprinted}
        for step in read(ERRATA):
            if isinstance(step, Restart):
                self._restart(step)
            else:
                if as_printed[step.line].command != step.command:
                    self._keep(as_printed[step.line], self._curl(as_printed[step.line].command))
                self._keep(step, self._settled(step))

    def reply(self, request: Request) -> Reply:
        """What the server answered to this request."""
        return self.replies[f"{request.line} {request.command}"]

    def differences(self, request: Request, names: Names | None = None) -> Iterator[str]:
        """Where the answer is not as printed, in words."""
        reply = self.reply(request)
        status = request.status or str(_status(request))
        if not reply.status.startswith(status):
            yield f"{status!r} is printed, ours is {reply.status!r}: {reply.text}"
        yield from compare_headers(request.headers, reply.headers)
        if request.answer is not None or reply.status.startswith("204"):
            names = names or self.names
            yield from compare_answers(request.answer, reply.json, resource_of(request.path), names)

    def _keep(self, request: Request, reply: Reply) -> None:
        self.replies[f"{request.line} {request.command}"] = reply

    def _restart(self, step: Restart) -> None:
        """As the guide asks: the dummy values replaced, and the provider's settings added to later ones."""
        actual = {
            "somleng-account-sid": SOMLENG_SID,
            "somleng-auth-token": SOMLENG_TOKEN,
            "somleng-rest-api-host": self.provider.host,
            "somleng-rest-api-base-url": f"{self.provider.url}/api",
        }
        settings = {name: actual.get(value, value) for name, value in step.settings.items()}
        if "PLATFORM_PROVIDER" in settings:
            self._settings = settings
        self.server.restart({"LOG_LEVEL": "debug", **self._settings, **settings})

    def _settled(self, request: Request) -> Reply:
        """The reply; what the background still works on is fetched again until the printed statuses show."""
        started = time.monotonic()
        patience = min(PATIENCE_SECONDS, self._patience)
        reply = self._curl(request.command)
        while request.method == "GET" and _outline(reply.json) != _outline(request.answer):
            if time.monotonic() - started > patience:
                break
            time.sleep(0.05)
            reply = self._curl(request.command)
        self._patience -= time.monotonic() - started
        return reply

    def _curl(self, command: str) -> Reply:
        """Run the command by the shell, word for word, with the guide's host name led to our server."""
        head = self.folder / "head"
        options = f"-q -D {head} -m 20 --connect-to {HOST}:{self.server.host}:{self.server.port}"
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace("curl ", f"curl {options} ", 1)],
            env={"PATH": os.environ["PATH"], "ACCESS_TOKEN": self.token},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}\n{self.server.output()}"
        status, _, headers = head.read_bytes().partition(b"\r\n")
        return Reply(status.decode().removeprefix("HTTP/1.1 ").strip(), parse_headers(BytesIO(headers)), done.stdout)


def requests() -> Sequence[Request]:
    """Every request of the guide, amended."""
    return [step for step in read(ERRATA) if isinstance(step, Request)]


def _harmless(erratum: Any) -> bool:
    return not (isinstance(erratum, Misprint) and erratum.refused)


def _status(request: Request) -> int:
    """What the contract answers to such a request where the guide prints no status."""
    failed = isinstance(request.answer, dict) and "errors" in request.answer
    return 422 if failed else STATUSES[request.method]


def _outline(answer: Any) -> list[Any]:
    members = answer if isinstance(answer, list) else [answer]
    return [member.get("status") for member in members if isinstance(member, dict)]
