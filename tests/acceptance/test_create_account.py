"""``scfm create-account``: an account and its token, with a server beside it and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_a_lost_token_is_made_again_for_the_same_account(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        assert server.request("POST", "/api/contacts", form={"msisdn": "+252662345678"}).status == 201
        token = token_of(server, "--token-for", "1")
        client = server.client(token)
        assert client.get("/api/account").json["permissions"] == ["super_admin"]
        assert client.get("/api/contacts/1").status == 200
        assert [account["id"] for account in client.get("/api/accounts").json] == [1]
        modest = server.new_account()
        number = modest.get("/api/account").json["id"]
        again = server.client(token_of(server, "--token-for", str(number)))
        assert again.get("/api/account").json["id"] == number
        assert again.get("/api/accounts").status == 401
        assert modest.get("/api/account").status == 200  # the old one still holds


def test_a_token_for_an_account_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    token_of(server)
    for number in ("7", "999999999999999999"):
        refused = server.run("create-account", "--token-for", number)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith(f"scfm: there is no account {number}")


@pytest.mark.parametrize("command", [("create-account", "--token-for", "1"), ("check-numbers",)])
def test_a_folder_without_a_database_is_refused_and_left_as_it_is(tmp_path: Path, command: tuple[str, ...]) -> None:
    wrong = Server(tmp_path / "data").run(*command)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(f"scfm: there is no database in {tmp_path / 'data'}: ")
    assert "--data-dir" in wrong.stderr and wrong.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("options", [("0",), ("one",), ("-1",), ("",), ("1", "--super-admin")])
def test_what_is_no_account_and_another_kind_of_account_are_usage_errors(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    wrong = Server(tmp_path / "data").run("create-account", "--token-for", *options)
    assert wrong.returncode == 2 and wrong.stdout == ""
    assert "Traceback" not in wrong.stderr and "invalid literal" not in wrong.stderr
    assert not (tmp_path / "data").exists()


def token_of(server: Server, *options: str) -> str:
    """The token of a new account."""
    made = server.run("create-account", "--format", "http_basic", *options)
    assert made.returncode == 0, made.stderr
    return made.stdout.splitlines()[-1]
