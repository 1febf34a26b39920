"""``scfm create-account``: an account and its token, with a server beside it and without one."""

from __future__ import annotations

from pathlib import Path

from tests.server import TOKEN, Server


def test_accounts_are_created_beside_a_running_server_and_before_its_first_start(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    before = token_of(server, "--super-admin")
    with server:
        assert server.token == ""  # there is an account, so none is made
        beside = token_of(server)
        for token, status, permissions in ((before, 200, ["super_admin"]), (beside, 401, [])):
            client = server.client(token)
            assert client.get("/api/account").json["permissions"] == permissions
            assert client.get("/api/accounts").status == status
        assert server.client(before).get("/api/account").json["id"] == 1
        assert server.client(beside).get("/api/account").json["id"] == 2
        assert server.client(beside).post("/api/contacts", {"msisdn": "+252662345678"}).status == 201
        assert server.client(before).get("/api/contacts/1").status == 404


def test_a_reader_is_told_what_the_token_is_and_a_script_gets_it_alone(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    human = server.run("create-account")
    script = server.run("create-account", "--format", "http_basic")
    assert human.returncode == script.returncode == 0
    assert "access token" in human.stdout and len(TOKEN.findall(human.stdout)) == 1
    assert TOKEN.fullmatch(script.stdout.splitlines()[-1])


def test_an_unknown_format_is_a_usage_error(tmp_path: Path) -> None:
    wrong = Server(tmp_path / "data").run("create-account", "--format", "yaml")
    assert wrong.returncode == 2 and wrong.stdout == "" and "Traceback" not in wrong.stderr


def token_of(server: Server, *options: str) -> str:
    """The token of a new account."""
    made = server.run("create-account", "--format", "http_basic", *options)
    assert made.returncode == 0, made.stderr
    return made.stdout.splitlines()[-1]
