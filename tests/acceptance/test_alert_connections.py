"""``scfm alert`` over connections that break, as a scripted server has them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scfm.__main__ import main
from scfm.results.people import people_by_outcome

Answering = Callable[["Scripted"], None]
TOKEN = "f" * 64


class Scripted(BaseHTTPRequestHandler):
    """Answers one request after the other as the script has it; the last repeats."""

    protocol_version = "HTTP/1.1"
    script: list[Answering]
    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((f"{self.command} {self.path}", dict(self.headers)))
        self.close_connection = True
        self.script[min(len(self.asked), len(self.script)) - 1](self)

    do_POST = do_GET  # noqa: N815 (the base class names it)

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def send(self, status: int, content: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def send_chunks(self, *chunks: bytes) -> None:
        """Send these chunks, of which an empty one is the end; without one the answer breaks off."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))


class Script:
    """A server at ``url`` with a script, and what it was ASKED: method and path, headers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: list[Answering] = []
        handler = type("Handler", (Scripted,), {"script": self.answers, "asked": self.asked})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def run(self, command: str, *options: str) -> int:
        return main(["alert", command, "--server", self.url, *options])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Script]:
    monkeypatch.setenv("SCFM_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    script = Script()
    yield script
    script.server.shutdown()
    script.server.server_close()


def event(event_id: str, completed: bool = False, **people: int) -> bytes:
    statistics = {
        "people": people_by_outcome(people),
        "reasons": {},
        "calls_per_minute": [],
        "completed_at": "2026-11-30T00:00:00.000Z" if completed else None,
        "expected_end_at": None,
        "limited_by": None,
        "health": {"provider": "ok"},
    }
    return f"event: statistics\nid: {event_id}\ndata: {json.dumps(statistics)}\n\n".encode()


def test_a_stream_that_breaks_off_is_opened_again_at_the_last_whole_event(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script.answers += [
        lambda answer: answer.send(503, b'{"status": 503, "error": "Service Unavailable"}'),
        lambda answer: answer.send_chunks(b":\n\n", event("a", calling=2), event("b", calling=1, reached=1)[:-30]),
        lambda answer: answer.send_chunks(event("b", calling=1, reached=1), b""),
        lambda answer: answer.send_chunks(event("c", completed=True, reached=2), b""),
    ]
    assert script.run("watch", "7") == 0
    assert [headers.get("Last-Event-ID") for _, headers in script.asked] == [None, None, "a", "b"]
    assert "callout 7 is completed" in capsys.readouterr().out


@pytest.mark.parametrize("unreached", ["unreached", "unknown"])
def test_who_is_not_known_to_be_reached_makes_it_1(script: Script, unreached: str) -> None:
    script.answers.append(
        lambda answer: answer.send_chunks(event("a", completed=True, reached=2, excluded=1, **{unreached: 1}), b"")
    )
    assert script.run("watch", "7") == 1


def test_a_server_that_stays_away_is_3(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.answers += [
        lambda answer: answer.send_chunks(event("a", calling=2)),
        lambda answer: answer.send(502, b"<html>Bad Gateway</html>", "text/html"),
    ]
    assert script.run("watch", "7", "--patience", "0.5") == 3
    told = capsys.readouterr()
    assert "answers 502" in told.err and TOKEN not in told.err + told.out
    script.server.shutdown()
    script.server.server_close()
    for command in ("watch", "stop", "results"):
        assert script.run(command, "7", "--patience", "0") == 3
        assert "cannot be reached (" in capsys.readouterr().err


def test_a_post_whose_answer_is_lost_is_sent_again_with_the_same_key(script: Script) -> None:
    stopped = json.dumps({"id": 7, "status": "stopped"}).encode()
    script.answers += [
        lambda answer: None,
        lambda answer: answer.send(409, b'{"status": 409, "error": "Conflict"}'),
        lambda answer: answer.send(201, stopped),
    ]
    assert script.run("stop", "7") == 0
    keys = [headers["Idempotency-Key"] for _, headers in script.asked]
    assert len(keys) == 3 and len(set(keys)) == 1


def test_results_replace_a_file_only_when_they_are_whole(script: Script, tmp_path: Path) -> None:
    output = tmp_path / "results.csv"
    output.write_text("the older one")
    script.answers.append(lambda answer: answer.send_chunks(b"contact_id,", b"msisdn\r\n"))
    assert script.run("results", "7", "--output", str(output), "--patience", "0") == 3
    assert output.read_text() == "the older one"
    script.answers.append(lambda answer: answer.send_chunks(b"contact_id,", b"msisdn\r\n", b""))
    assert script.run("results", "7", "--output", str(output)) == 0
    assert output.read_bytes() == b"contact_id,msisdn\r\n"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        (200, b"<html>Welcome</html>", "is not scfm"),
        (401, b"", "refuses the token"),
        (403, b'{"status": 403, "error": "Forbidden"}', "refuses it (403): Forbidden"),
        (
            422,
            b'{"errors": {"event": ["is not included in the list"], "base": ["no"]}, "hints": {"event": "try stop"}}',
            "(422): event: is not included in the list (try stop); no",
        ),
        (400, b"[]", "refuses it (400)"),
    ],
)
def test_a_refusal_is_2_and_told_with_the_servers_words(
    status: int, content: bytes, told: str, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script.answers.append(lambda answer: answer.send(status, content))
    assert script.run("stop", "7") == 2
    assert told in capsys.readouterr().err
    assert len(script.asked) == 1


def test_a_server_that_has_moved_is_named(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    def moved(answer: Scripted) -> None:
        answer.send_response(301)
        answer.send_header("Location", "https://alerts.example.org/")
        answer.send_header("Content-Length", "0")
        answer.end_headers()

    script.answers.append(moved)
    assert script.run("stop", "7") == 2
    assert "--server https://alerts.example.org/" in capsys.readouterr().err


def test_a_server_below_a_path_is_asked_there(script: Script) -> None:
    script.answers.append(lambda answer: answer.send(201, b'{"id": 7}'))
    assert main(["alert", "stop", "7", "--hang-up", "--server", f"{script.url}/calls/"]) == 0
    assert script.asked[0][0] == "POST /calls/api/callouts/7/callout_events"
