"""A real server in a process of its own, and a client that speaks to it with nothing but the standard library."""

from __future__ import annotations

import base64
import gzip
import json as jsonlib
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self
from urllib.parse import urlencode

LISTENING = re.compile(r"listening on (http://([\d.]+):(\d+))")
TOKEN = re.compile(r"\b[0-9a-f]{64}\b")
FIRST_USER = re.compile(r"The first user is (\S+), with the password (\S+)")
# How long to wait for what must come: only a test that fails waits as long, and a busy machine is no failure.
START_SECONDS = 180.0
STOP_SECONDS = 120.0
REQUEST_SECONDS = 120.0
# Between two looks at what is waited for.
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.02, 0.2
# What a child needs of this process's environment. Nothing else may leak in: a real provider's settings least of all.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
SECRET_KEY = "dGhlIGtleSBvZiB0aGUgc2VydmVycyBpbiB0ZXN0cyE="

Form = Mapping[str, str] | Sequence[tuple[str, str]]


def with_secret_key(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings, with the one secret key of all servers that share the tests' database."""
    keys = {"SCFM_SECRET_KEYS": SECRET_KEY} if "MONGODB_URI" in environment else {}
    return {**({} if "SCFM_SECRET_KEYS_FILE" in environment else keys), **environment}


class Answer(NamedTuple):
    """One HTTP answer. ``json`` is the parsed body, None for an empty one, the text of one that is not JSON.

    ``hints`` are what a 422 may have beside its ``errors``; they are not in ``json``.
    """

    status: int
    headers: Message
    json: Any
    hints: Mapping[str, str] | None = None


def wait_until(condition: Callable[[], Any], seconds: float = 120.0, every: float | None = None) -> Any:
    """Ask ``condition`` until it gives something true, and give that. AssertionError after ``seconds``.

    It is asked again after ``every`` so many seconds; if that is not told, the less often the longer it takes, as to
    ask keeps the server, which is waited for, from its work.
    """
    began = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(every or min(max(MIN_PAUSE_SECONDS, waited / 20), MAX_PAUSE_SECONDS))
    return found


def open_files(pid: int) -> list[str]:
    """What the file descriptors of a running process lead to: paths, and names like ``socket:[INODE]``."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since the folder was listed
            found.append(os.readlink(descriptor))
    return found


class Server:
    """``scfm serve`` on a free port of the loopback, over a data folder of the test's own.

    ``environment`` is all that the server is told beside the options: no setting is inherited. ``url``, ``host`` and
    ``port`` are set once it listens; ``token`` is the super admin's, and ``first_user`` the email and the password of
    the first user, printed by the first start on an empty folder, and kept over restarts.
    """

    def __init__(self, data_dir: Path, environment: Mapping[str, str] | None = None, *options: str) -> None:
        self.data_dir = data_dir
        self.environment = dict(environment or {})
        self.options = options
        self.token = ""
        self.first_user = ("", "")
        self.url = ""
        self.host = ""
        self.port = 0
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self._drains: list[threading.Thread] = []
        self._lines: queue.Queue[str | None] = queue.Queue()

    def start(self) -> Self:
        """Start the process and wait until it listens. AssertionError, with its output, if it does not."""
        self._lines = queue.Queue()
        self.process = self._spawn("serve", "--port", "0", "--data-dir", str(self.data_dir), *self.options)
        self._drains = [
            self._drain(self.process.stdout, self.stdout, self._lines),
            self._drain(self.process.stderr, self.stderr, None),
        ]
        self._await_listening()
        return self

    def run(
        self, *arguments: str, seconds: float = START_SECONDS, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run another ``scfm`` command beside the server, over the same data folder, and wait for its end.

        GIVEN is its standard input.
        """
        return subprocess.run(
            [sys.executable, "-m", "scfm", *arguments, "--data-dir", str(self.data_dir)],
            env=self._environment(),
            capture_output=True,
            text=True,
            input=given,
            timeout=seconds,
            check=False,
        )

    def cpu_seconds(self) -> float:
        """What the process has computed so far, however long that took; 0 where the system does not say."""
        assert self.process is not None
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def create_account(self) -> str:
        """Make one more super admin's account, beside the running server, and give its access token."""
        made = self.run("create-account", "--super-admin", "--format", "http_basic")
        assert made.returncode == 0, made.stdout + made.stderr
        return made.stdout.strip().splitlines()[-1]

    def client(self, token: str | None = None) -> Client:
        """A client with this token, or with the super admin's."""
        return Client(self, self.token if token is None else token)

    def new_account(self, **fields: str) -> Client:
        """A client of a new account with these FIELDS, which has nothing but its token."""
        super_admin = self.client()
        account = super_admin.post("/api/accounts", fields)
        assert account.status == 201, account
        token = super_admin.post("/api/access_tokens", {"account_id": str(account.json["id"])})
        assert token.status == 201, token
        return self.client(token.json["token"])

    def request(
        self,
        method: str,
        path: str,
        *,
        form: Form | None = None,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """One request, with a form, JSON or raw body. ``token`` "" sends no credentials, None the super admin's."""
        sent = _credentials(self.token if token is None else token)
        if form is not None:
            body = urlencode(form if isinstance(form, Sequence) else list(form.items())).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        elif json is not None:
            body = jsonlib.dumps(json).encode()
            sent["Content-Type"] = "application/json"
        return self._exchange(method, path, body, sent | dict(headers or {}))

    def terminate(self) -> int:
        """Ask it to stop (SIGTERM), wait, and give its exit status. AssertionError if it does not stop in time."""
        process = self._running()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not stop the server\n{self.output()}") from None
        return self._ended()

    def kill(self) -> int:
        """End it at once (SIGKILL), and give its exit status."""
        process = self._running()
        process.kill()
        process.wait(STOP_SECONDS)
        return self._ended()

    def restart(self, environment: Mapping[str, str] | None = None) -> Self:
        """Stop and start again over the same data, with a new ``environment`` where one is given."""
        if self.process is not None:
            self.terminate()
        if environment is not None:
            self.environment = dict(environment)
        return self.start()

    def output(self) -> str:
        """Everything it has printed so far, for the message of a failing test."""
        return "\n".join(["--- stdout", *self.stdout, "--- stderr", *self.stderr[-200:]])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.terminate()

    def _spawn(self, *arguments: str, stderr: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "scfm", *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return {**inherited, "PYTHONUNBUFFERED": "1", **with_secret_key(self.environment)}

    @staticmethod
    def _drain(pipe: IO[str] | None, kept: list[str], lines: queue.Queue[str | None] | None) -> threading.Thread:
        assert pipe is not None

        def read() -> None:
            with pipe:
                for line in pipe:
                    kept.append(line.rstrip("\n"))
                    if lines is not None:
                        lines.put(line)
            if lines is not None:
                lines.put(None)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def _await_listening(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.kill()
                raise AssertionError(f"the server did not start listening\n{self.output()}")
            if token := TOKEN.search(line):
                self.token = token.group()
            if first := FIRST_USER.search(line):
                self.first_user = (first[1], first[2])
            if listening := LISTENING.search(line):
                self.url, self.host, self.port = listening[1], listening[2], int(listening[3])
                return

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = HTTPConnection(self.host, self.port, timeout=REQUEST_SECONDS)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            body = _parsed(response.headers, response.read())
            hints = body.pop("hints", None) if response.status == 422 and isinstance(body, dict) else None
            return Answer(response.status, response.headers, body, hints)
        except OSError as error:
            error.add_note(self.output())
            raise
        finally:
            connection.close()

    def _running(self) -> subprocess.Popen[str]:
        assert self.process is not None, "the server is not running"
        return self.process

    def _ended(self) -> int:
        process = self._running()
        for thread in self._drains:
            thread.join(STOP_SECONDS)
        self.process = None
        return process.returncode


class Client:
    """The server as one account sees it."""

    def __init__(self, server: Server, token: str) -> None:
        self.server = server
        self.token = token

    def get(self, path: str, **options: Any) -> Answer:
        return self.server.request("GET", path, token=self.token, **options)

    def post(self, path: str, form: Form | None = None, **options: Any) -> Answer:
        return self.server.request("POST", path, form=form, token=self.token, **options)

    def patch(self, path: str, form: Form | None = None, **options: Any) -> Answer:
        return self.server.request("PATCH", path, form=form, token=self.token, **options)

    def put(self, path: str, form: Form | None = None, **options: Any) -> Answer:
        return self.server.request("PUT", path, form=form, token=self.token, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.server.request("DELETE", path, token=self.token, **options)

    def head(self, path: str, **options: Any) -> Answer:
        return self.server.request("HEAD", path, token=self.token, **options)


def _credentials(token: str) -> dict[str, str]:
    if not token:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{token}:".encode()).decode()}


def _parsed(headers: Message, body: bytes) -> Any:
    if not body:
        return None
    if headers["Content-Encoding"] == "gzip":
        body = gzip.decompress(body)
    return jsonlib.loads(body) if headers.get_content_type() == "application/json" else body.decode()
