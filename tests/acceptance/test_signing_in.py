"""Users from the command line to the session: the first one, more of them, lost passwords, restarts and proxies."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from scfm.models.user_setup import FIRST_EMAIL
from tests.browser import Browser
from tests.server import START_SECONDS, Answer, Server, wait_until

PASSWORD, OTHER = "correct horse", "another horse"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


def at_a_terminal(server: Server, arguments: Sequence[str], typed: Sequence[str]) -> tuple[int, str]:
    """Run ``scfm`` at a terminal, and type what is asked for; the exit status, and all that was shown."""
    own, terminal = pty.openpty()
    words = [sys.executable, "-m", "scfm", *arguments, "--data-dir", str(server.data_dir)]
    with subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True) as process:
        os.close(terminal)
        shown = ""
        for line in typed:
            shown += read_until(own, ": ")
            os.write(own, f"{line}\n".encode())
        shown += read_until(own, None)
        os.close(own)
        return process.wait(START_SECONDS), shown


def read_until(terminal: int, end: str | None) -> str:
    """What is shown until it ends so; until the program has ended, for None."""
    shown = ""
    while end is None or not shown.endswith(end):
        try:
            shown += os.read(terminal, 1000).decode()
        except OSError:  # Linux: the other side is closed
            break
    return shown


def sign_in(server: Server, email: str, password: str, **headers: str) -> Answer:
    return Browser(server).sign_in(email, password, headers=headers)


def test_the_first_start_makes_an_admin_and_tells_the_password_once(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        email, password = server.first_user
        assert email == FIRST_EMAIL
        assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password)
        assert f"The page, for users: {server.url}/" in server.output()
        browser = Browser(server)
        made = browser.sign_in(email, password)
        assert (made.status, made.json["user"]["role"]) == (201, "admin")
        assert made.json["account"]["id"] == server.request("GET", "/api/account").json["id"]
        assert [one["email"] for one in browser.get("/api/users").json] == [email]
        assert browser.post("/api/users", json={"email": "b@example.org", "password": PASSWORD}).status == 201
        server.stdout.clear()
        server.restart()
        assert password not in server.output() and "set-password" in server.output()
        assert browser.get("/session").json == made.json  # a restart ends no session
        server.kill()
        server.start()
        assert browser.post("/api/callouts").status == 201


def test_a_database_with_an_account_gets_no_user_by_itself(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    assert server.run("create-account", "--super-admin").returncode == 0
    made = server.run("create-user", "a@example.org", "--role", "operator", given=f"{PASSWORD}\n")
    assert made.returncode == 0, made.stderr  # also while no server runs
    with server:
        assert server.first_user == ("", "")
        answer = sign_in(server, "a@example.org", PASSWORD)
        assert (answer.json["user"]["role"], answer.json["account"]["id"]) == ("operator", 1)


def test_a_user_is_made_beside_the_running_server(server: Server) -> None:
    account = server.new_account().get("/api/account").json["id"]
    made = server.run(
        *("create-user", "Alice@Example.org", "--role", "viewer", "--account", str(account)),
        given=f"{PASSWORD}\r\n",
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert "alice@example.org" in made.stdout and "viewer" in made.stdout and PASSWORD not in made.stdout
    answer = sign_in(server, "alice@example.org", PASSWORD)
    assert (answer.json["user"]["role"], answer.json["account"]["id"]) == ("viewer", account)


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (("create-user", "x@example.org", "--role", "admin"), "", "no password came from standard input"),
        (("create-user", "x@example.org", "--role", "admin"), "12345\n", "the password is too short"),
        (("create-user", "x", "--role", "admin"), f"{PASSWORD}\n", "the email is invalid"),
        (("create-user", FIRST_EMAIL, "--role", "admin"), f"{PASSWORD}\n", "the email has already been taken"),
        (
            ("create-user", "x@example.org", "--role", "admin", "--account", "999"),
            f"{PASSWORD}\n",
            "there is no account 999",
        ),
        (
            ("set-password", "nobody@example.org"),
            f"{PASSWORD}\n",
            "there is no user with the email nobody@example.org",
        ),
        (("set-password", FIRST_EMAIL), "12345\n", "the password is too short"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    server: Server, arguments: tuple[str, ...], given: str, words: str
) -> None:
    wrong = server.run(*arguments, given=given)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    (line,) = wrong.stderr.splitlines()
    assert line.startswith("scfm: ") and words in line


def test_a_role_is_needed_and_must_be_one(server: Server) -> None:
    for arguments in ((), ("--role", "root")):
        wrong = server.run("create-user", "x@example.org", *arguments, given=f"{PASSWORD}\n")
        assert wrong.returncode == 2 and "--role" in wrong.stderr and "Traceback" not in wrong.stderr


def test_a_lost_password_is_set_anew_and_its_sessions_are_over(server: Server) -> None:
    made = server.run("create-user", "lost@example.org", "--role", "admin", given=f"{PASSWORD}\n")
    assert made.returncode == 0
    browser = Browser(server)
    assert browser.sign_in("lost@example.org", PASSWORD).status == 201
    changed = server.run("set-password", " LOST@example.org", given=f"{OTHER}\n")
    assert changed.returncode == 0 and OTHER not in changed.stdout + changed.stderr
    wait_until(lambda: browser.get("/session").status == 401)
    assert sign_in(server, "lost@example.org", PASSWORD).status == 401
    assert sign_in(server, "lost@example.org", OTHER).status == 201


def test_at_a_terminal_the_password_is_asked_for_twice_and_not_shown(server: Server) -> None:
    arguments = ("create-user", "typed@example.org", "--role", "operator")
    status, shown = at_a_terminal(server, arguments, [PASSWORD, OTHER])
    assert status == 1 and "two different passwords" in shown and PASSWORD not in shown
    status, shown = at_a_terminal(server, arguments, [PASSWORD, PASSWORD])
    assert status == 0 and PASSWORD not in shown, shown
    assert sign_in(server, "typed@example.org", PASSWORD).status == 201


def test_failures_are_kept_over_a_restart_and_a_kill(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        email, password = server.first_user
        assert [sign_in(server, email, "wrong").status for _ in range(3)] == [401] * 3
        server.restart()
        assert [sign_in(server, email, "wrong").status for _ in range(2)] == [401] * 2
        server.kill()
        server.start()
        assert sign_in(server, email, password).status == 429


def test_a_proxy_is_believed_where_it_is_trusted_and_nobody_else_is(tmp_path: Path) -> None:
    with Server(tmp_path / "data", {"TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8"}) as server:
        email, password = server.first_user
        home, office = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "198.51.100.7"}
        assert [sign_in(server, email, "wrong", **home).status for _ in range(6)] == [401] * 5 + [429]
        # What the client itself has written stands before what the proxies add, and counts for nothing.
        for forged in ("198.51.100.7, 192.0.2.1", "198.51.100.7, 192.0.2.1, 10.1.2.3", "x, 192.0.2.1:4711"):
            assert sign_in(server, email, password, **{"X-Forwarded-For": forged}).status == 429
        assert sign_in(server, email, password, **office).status == 201
        assert "TRUSTED_PROXIES" not in server.output()
        server.restart({})
        for number in range(5):
            forged_address = {"X-Forwarded-For": f"203.0.113.{number}"}
            assert sign_in(server, email, "wrong", **forged_address).status == 401
        assert sign_in(server, email, password, **office).status == 429
        told = [line for line in server.stderr if "TRUSTED_PROXIES" in line]
        assert len(told) == 1 and "127.0.0.1" in told[0]
