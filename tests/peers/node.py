"""The peers: programs of others on Node, each in a process of its own. ``make peers`` installs them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent


@contextmanager
def running(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A script of this folder; it ends when its input does."""
    process = subprocess.Popen(
        ["node", str(HERE / script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.communicate(timeout=10)


@contextmanager
def emulator(sid: str, token: str, number: str, voice_url: str) -> Iterator[str]:
    """``emulate`` as the provider of one account that has one number; its URL."""
    with playing_emulator(sid, token, number, voice_url) as (url, _):
        yield url


@contextmanager
def playing_emulator(sid: str, token: str, number: str, voice_url: str) -> Iterator[tuple[str, IO[str]]]:
    """The same, with the lines that it prints of what it plays."""
    account = {"sid": sid, "auth_token": token, "phone_number": number, "voice_url": voice_url}
    with running("emulator.mjs", json.dumps(account)) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", process.stdout


class TwilioForNode:
    """The ``twilio`` library of Node: how it signs, and what it lets pass."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def sign(self, token: str, url: str, fields: Mapping[str, Any]) -> str:
        return str(self._ask("sign", token, url, fields))

    def valid(self, token: str, signature: str, url: str, fields: Mapping[str, Any]) -> bool:
        return bool(self._ask("valid", token, signature, url, fields))

    def _ask(self, *question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())
