"""``scfm demo``: the guide's disaster alert, walked through a server of its own with simulated phones.

Every answer is checked; the first that is not what the guide promises ends the demo.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlencode

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from scfm.errors import ScfmError
from scfm.settings import Settings

NEIGHBOURS = 200
EVERYBODY = NEIGHBOURS + 2
FINAL = ("completed", "not_answered", "busy", "failed", "canceled")
START_SECONDS = 60.0
STOP_SECONDS = 15.0
STEP_SECONDS = 30.0
POLL_SECONDS = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo has none: it is the same for everybody."""


def run(args: argparse.Namespace) -> int:
    """Walk the alert and show it; 0 if every answer was right, else 1. Leaves nothing behind, also on Ctrl-C."""
    screen = Screen()
    began = time.monotonic()
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        with tempfile.TemporaryDirectory(prefix="scfm-demo-") as folder, _server(Path(folder), screen) as api:
            Alert(api, screen).walk()
    except WrongStep as wrong:
        screen.say(f"WRONG: expected {wrong.expected}\n       but came {wrong.came}")
        return 1
    finally:
        signal.signal(signal.SIGTERM, previous)
    screen.say(f"Everybody was called once. {time.monotonic() - began:.1f} s in all; nothing is left behind.")
    return 0


def _stop(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


class WrongStep(ScfmError):
    """An answer that is not as it should be: what was expected, and what came."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(f"expected {expected}, but came {came}")
        self.expected, self.came = expected, came


class Screen:
    """Where the steps are shown: with bars on a terminal, as plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._live = self._console.is_terminal

    def say(self, text: str) -> None:
        """One line, however long."""
        self._console.print(text, soft_wrap=True)

    def done(self, text: str) -> None:
        """A step that went as it should."""
        self.say(f"ok  {text}")

    @contextmanager
    def bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar of ``total`` while the block runs, which is given how to set it; then, if all went well, its line."""
        columns = (TextColumn("    {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._live) as progress:
            task = progress.add_task(text, total=total)
            yield lambda completed: progress.update(task, completed=completed)
        self.done(f"{text}: {total}")

    def outcomes(self, counts: Mapping[str, int]) -> None:
        """The table of what became of the calls, the most frequent first."""
        percent = shares(counts)
        rows = sorted(counts.items(), key=lambda row: -row[1])
        if not self._live:
            for status, count in rows:
                self.say(f"    {status:<14}{count:>5}  {percent[status]:>3}%")
            return
        table = Table("outcome")
        for heading in ("calls", "share"):
            table.add_column(heading, justify="right")
        for status, count in rows:
            table.add_row(status, str(count), f"{percent[status]}%")
        self._console.print(table)


def shares(counts: Mapping[str, int]) -> dict[str, int]:
    """Each share of all in whole percent, which sum to 100: those with the largest remainders are rounded up."""
    everything = sum(counts.values())
    percent = {name: 100 * count // everything for name, count in counts.items()}
    by_remainder = sorted(counts, key=lambda name: -(100 * counts[name] % everything))
    for name in by_remainder[: 100 - sum(percent.values())]:
        percent[name] += 1
    return percent


class Answer(NamedTuple):
    """One HTTP answer. ``total`` is that of the Total header; ``json`` the body, None if it is empty."""

    status: int
    total: int | None
    json: Any


class Api:
    """The server as its first account sees it, over one connection."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self._connection = HTTPConnection("127.0.0.1", port, timeout=STEP_SECONDS)
        self._credentials = "Basic " + base64.b64encode(f"{token}:".encode()).decode()

    def get(self, path: str, *, total: int | None = None, **shown: Any) -> Answer:
        """What is at PATH. Raises WrongStep unless it is 200 with this Total, and the fields SHOWN are as said."""
        answer = self._checked("GET", path, None, 200, shown)
        if total is not None and answer.total != total:
            raise WrongStep(f"Total: {total} from GET {path}", f"Total: {answer.total}")
        return answer

    def post(self, path: str, form: Mapping[str, str] | None = None, **shown: Any) -> None:
        """Create with a form. Raises WrongStep unless it is 201, and the fields SHOWN are as said."""
        self._checked("POST", path, form or {}, 201, shown)

    def patch(self, path: str, form: Mapping[str, str]) -> None:
        """Update with a form. Raises WrongStep unless it is 204."""
        self._checked("PATCH", path, form, 204, {})

    def count(self, path: str) -> int:
        """How many members a list has. Raises WrongStep."""
        return self.get(path).total or 0

    def close(self) -> None:
        self._connection.close()

    def _checked(
        self, method: str, path: str, form: Mapping[str, str] | None, status: int, shown: Mapping[str, Any]
    ) -> Answer:
        answer = self._exchange(method, path, form)
        came = f"{answer.status} {_shortened(answer.json)}"
        if answer.status != status:
            raise WrongStep(f"{status} from {method} {path}", came)
        for field, value in shown.items():
            if not isinstance(answer.json, dict) or answer.json.get(field, ...) != value:
                raise WrongStep(f"{field} {json.dumps(value)} from {method} {path}", came)
        return answer

    def _exchange(self, method: str, path: str, form: Mapping[str, str] | None) -> Answer:
        headers = {"Authorization": self._credentials}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            self._connection.request(method, path, None if form is None else urlencode(form), headers)
            response = self._connection.getresponse()
            body = response.read()
            total = response.getheader("Total")
            return Answer(response.status, int(total) if total else None, json.loads(body) if body else None)
        except (OSError, HTTPException, ValueError) as error:
            raise WrongStep(f"an answer to {method} {path}", repr(error)) from None


def _shortened(body: Any) -> str:
    text = json.dumps(body)
    return text if len(text) <= 400 else text[:400] + "..."


class Alert:
    """The disaster alert, step by step, each as the guide has it."""

    def __init__(self, api: Api, screen: Screen) -> None:
        self._api = api
        self._screen = screen
        # The phones that are answered ask our own server what to say.
        self._url = f"http://127.0.0.1:{api.port}/api/remote_phone_call_events"

    def walk(self) -> None:
        """Every step, in order. Raises WrongStep."""
        self._add_alice_and_bob()
        self._add_neighbours()
        self._make_callout()
        self._populate()
        self._start_callout()
        self._create_phone_calls()
        self._queue_phone_calls()
        self._fetch_outcomes()
        self._show_outcomes()

    def _add_alice_and_bob(self) -> None:
        api = self._api
        api.post("/api/contacts", {"msisdn": "+252662345678"}, id=1, msisdn="+252662345678", metadata={})
        api.patch("/api/contacts/1", {"[metadata][name]": "Alice", "[metadata][gender]": "f"})
        api.get("/api/contacts/1", metadata={"name": "Alice", "gender": "f"})
        bob = {"msisdn": "+252662345679", "[metadata][name]": "Bob", "[metadata][gender]": "m"}
        api.post("/api/contacts", bob, id=2, msisdn="+252662345679", metadata={"name": "Bob", "gender": "m"})
        api.get("/api/contacts?q[metadata][gender]=f", total=1)
        self._screen.done("contacts: Alice and Bob")

    def _add_neighbours(self) -> None:
        with self._screen.bar("more contacts", NEIGHBOURS) as show:
            for number in range(1, NEIGHBOURS + 1):
                msisdn = f"+25266{2346000 + number}"
                self._api.post("/api/contacts", {"msisdn": msisdn}, id=number + 2, msisdn=msisdn)
                show(number)
        self._api.get("/api/contacts", total=EVERYBODY)

    def _make_callout(self) -> None:
        self._api.post("/api/callouts", id=1, status="initialized", call_flow_logic=None, metadata={})
        self._screen.done("a callout: initialized")

    def _populate(self) -> None:
        population = {"type": "BatchOperation::CalloutPopulation"}
        self._api.post("/api/callouts/1/batch_operations", population, id=1, callout_id=1, status="preview")
        self._api.get("/api/batch_operations/1/preview/contacts", total=EVERYBODY)
        self._run_operation(1)
        self._await_total("participations in the callout", "/api/callouts/1/callout_participations")

    def _start_callout(self) -> None:
        self._api.post("/api/callouts/1/callout_events", {"event": "start"}, id=1, status="running")
        self._screen.done("the callout: running")

    def _create_phone_calls(self) -> None:
        parameters = {
            "type": "BatchOperation::PhoneCallCreate",
            "parameters[remote_request_params][from]": "1234",
            "parameters[remote_request_params][url]": self._url,
            "parameters[callout_filter_params][status]": "running",
        }
        self._api.post("/api/batch_operations", parameters, id=2, callout_id=None, status="preview")
        self._api.get("/api/batch_operations/2/preview/callout_participations", total=EVERYBODY)
        self._run_operation(2)
        self._await_total("phone calls created", "/api/batch_operations/2/phone_calls")

    def _queue_phone_calls(self) -> None:
        self._api.post("/api/batch_operations", _over_calls("Queue", "created"), id=3, status="preview")
        self._api.get("/api/batch_operations/3/preview/phone_calls", total=EVERYBODY)
        self._run_operation(3)
        self._api.get("/api/batch_operations/3/phone_calls", total=EVERYBODY)
        self._await_total("phone calls at the provider", "/api/phone_calls?q[remotely_queued_at_after]=2018-01-01")

    def _fetch_outcomes(self) -> None:
        """Ask for the outcomes, again and again until each call has one."""
        open_calls = _over_calls("QueueRemoteFetch", "remotely_queued,in_progress")
        self._api.post("/api/batch_operations", open_calls, id=4, status="preview")
        self._api.get("/api/batch_operations/4/preview/phone_calls", total=EVERYBODY)
        deadline, event = _deadline(), "queue"
        with self._screen.bar("phone calls with an outcome", EVERYBODY) as show:
            while (ended := self._api.count(f"/api/phone_calls?q[status]={','.join(FINAL)}")) < EVERYBODY:
                show(ended)
                _check_time(deadline, f"{EVERYBODY} calls that have ended", f"{ended}")
                self._run_operation(4, event)
                event = "requeue"

    def _show_outcomes(self) -> None:
        calls = self._api.get("/api/phone_calls?per_page=1000", total=EVERYBODY).json
        for field in ("contact_id", "remote_call_id"):
            different = len({call[field] for call in calls} - {None})
            if different != EVERYBODY:
                raise WrongStep(f"{EVERYBODY} calls, each with a {field} of its own", f"{different}")
        counts = Counter(call["status"] for call in calls)
        heard = self._api.count("/api/remote_phone_call_events")
        if heard != counts["completed"]:
            raise WrongStep(f"one webhook for each of {counts['completed']} completed calls", f"{heard}")
        self._screen.done(f"phones that played the message: {heard}")
        self._screen.outcomes(counts)

    def _run_operation(self, number: int, event: str = "queue") -> None:
        """Queue the batch operation and wait until it is finished."""
        path = f"/api/batch_operations/{number}"
        self._api.post(f"{path}/batch_operation_events", {"event": event}, id=number, status="queued")
        deadline = _deadline()
        while (status := self._api.get(path, id=number).json["status"]) != "finished":
            _check_time(deadline, f"{path} finished", status)
            time.sleep(POLL_SECONDS)

    def _await_total(self, text: str, path: str) -> None:
        """Wait until the list at PATH holds everybody."""
        deadline = _deadline()
        with self._screen.bar(text, EVERYBODY) as show:
            while (total := self._api.count(path)) != EVERYBODY:
                show(total)
                _check_time(deadline, f"Total: {EVERYBODY} from GET {path}", f"{total}")
                time.sleep(POLL_SECONDS)


def _over_calls(kind: str, statuses: str) -> dict[str, str]:
    return {
        "type": f"BatchOperation::PhoneCall{kind}",
        "parameters[callout_filter_params][status]": "running",
        "parameters[phone_call_filter_params][status]": statuses,
    }


def _deadline() -> float:
    return time.monotonic() + STEP_SECONDS


def _check_time(deadline: float, expected: str, came: str) -> None:
    if time.monotonic() > deadline:
        raise WrongStep(f"{expected} within {STEP_SECONDS:g} s", came)


@contextmanager
def _server(folder: Path, screen: Screen) -> Iterator[Api]:
    """A server over FOLDER for as long as the block runs. Raises WrongStep if it does not start."""
    log = folder / "server.log"
    command = [sys.executable, "-m", "scfm", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        api = _await_listening(server, log)
        screen.done(f"a server of its own: http://127.0.0.1:{api.port}, with the simulator as its provider")
        try:
            yield api
        finally:
            api.close()
    finally:
        with _uninterrupted():
            _end(server)


def _environment() -> dict[str, str]:
    """Ours, without any setting of a server: the demo must not touch a real database, nor a real provider."""
    settings = {setting.metadata["env"] for setting in fields(Settings)}
    kept = {name: value for name, value in os.environ.items() if name not in settings and name[:5] != "SCFM_"}
    return {**kept, "PLATFORM_PROVIDER": "simulator"}


def _await_listening(server: subprocess.Popen[bytes], log: Path) -> Api:
    """The server says where it listens, and before that, on a line of its own, the token of 64 digits."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        listening = next((line for line in lines if line.startswith("listening on ")), None)
        if listening is not None:
            token = next(line for line in lines if len(line) == 64)
            return Api(int(listening.rpartition(":")[2]), token)
        if server.poll() is not None or time.monotonic() > deadline:
            raise WrongStep("a server that listens", "\n".join(lines[-10:]) or "nothing")
        time.sleep(POLL_SECONDS)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let the clean-up go to its end, however often Ctrl-C is pressed."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
