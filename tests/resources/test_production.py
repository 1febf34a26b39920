"""SCFM_ENV=production: what is unsafe keeps the server from its start, and all of it is named in one line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scfm.errors import StartError
from scfm.models.production import check_safe, unsafe
from scfm.runtime.secret_box import new_key
from scfm.runtime.secret_keys import key_file, open_box
from scfm.settings import PRODUCTION, Settings
from tests.resources.conftest import Documents
from tests.server import Server, wait_until

SAFE = {
    "SCFM_ENV": "production",
    "PUBLIC_URL": "https://alerts.example.org",
    "TRUSTED_PROXIES": "127.0.0.1",
}
NOTHING: Counter[str | None] = Counter()


def safe_settings(tmp_path: Path, **changed: Any) -> Settings:
    safe = {"environment": PRODUCTION, "public_url": "https://alerts.example.org", "data_dir": tmp_path}
    return Settings(**{**safe, **changed})


def test_a_server_on_the_loopback_with_its_own_database_behind_https_is_safe(tmp_path: Path) -> None:
    assert unsafe(safe_settings(tmp_path), Counter({"0123456789abcdef": 3})) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"public_url": ""}, "PUBLIC_URL is no https address"),
        ({"public_url": "http://alerts.example.org"}, "PUBLIC_URL is no https address"),
        ({"platform_provider": "simulator"}, "PLATFORM_PROVIDER is the simulator"),
        ({"mongodb_uri": "mongodb://db.example.org"}, "SCFM_SECRET_KEYS is not"),
        ({"host": "0.0.0.0"}, "HOST is 0.0.0.0, and TRUSTED_PROXIES is empty"),
        ({"host": "::"}, "HOST is ::, and TRUSTED_PROXIES is empty"),
        ({"host": "0.0.0.0", "trusted_proxies": "10.0.0.1, 0.0.0.0/0"}, "TRUSTED_PROXIES has every address"),
        ({"trusted_proxies": "::/0"}, "TRUSTED_PROXIES has every address"),
        ({"twilio_account_sid": "AC..."}, "TWILIO_ACCOUNT_SID is still the placeholder"),
        ({"somleng_auth_token": "…"}, "SOMLENG_AUTH_TOKEN is still the placeholder"),
        ({"secret_keys": "..."}, "SCFM_SECRET_KEYS is still the placeholder"),
        ({"host": "alerts"}, "HOST is alerts, and TRUSTED_PROXIES is empty"),
    ],
)
def test_each_thing_that_is_unsafe_is_named(changed: dict[str, Any], told: str, tmp_path: Path) -> None:
    (found,) = unsafe(safe_settings(tmp_path, **changed), NOTHING)
    assert told in found
    with pytest.raises(StartError, match="SCFM_ENV is production, but this is not safe: \\(1\\) "):
        check_safe(safe_settings(tmp_path, **changed), NOTHING)
    check_safe(safe_settings(tmp_path, **changed, environment="development"), NOTHING)


@pytest.mark.parametrize(
    "changed",
    [
        {"host": "0.0.0.0", "trusted_proxies": "10.0.0.1"},
        {"host": "::1"},
        {"host": "127.0.0.2"},
        {"host": "localhost"},
        {"mongodb_uri": "mongodb://db.example.org", "secret_keys": new_key()},
        {"mongodb_uri": "mongodb://db.example.org", "secret_keys_file": "/run/secrets/scfm"},
        {"platform_provider": "somleng"},
    ],
)
def test_and_what_is_safe_is_not(changed: dict[str, Any], tmp_path: Path) -> None:
    assert unsafe(safe_settings(tmp_path, **changed), NOTHING) == []


def test_secrets_in_the_clear_and_a_key_file_that_others_may_read_are_unsafe(tmp_path: Path) -> None:
    open_box("", "", tmp_path)
    assert unsafe(safe_settings(tmp_path), NOTHING) == []
    key_file(tmp_path).chmod(0o640)
    first, second = unsafe(safe_settings(tmp_path), Counter({None: 3}))
    assert "others may read" in first and "chmod 600" in first
    assert "secrets are stored in the clear (3): run `scfm rotate-keys`" in second


def test_a_start_that_is_refused_names_all_in_one_line(tmp_path: Path) -> None:
    told = {"SCFM_ENV": "production", "PLATFORM_PROVIDER": "simulator", "HOST": "0.0.0.0"}
    done = Server(tmp_path / "data", told).run("serve", "--port", "0")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "SCFM_ENV" in line]
    assert "(1) PUBLIC_URL" in line and "(2) PLATFORM_PROVIDER" in line and "(3) HOST" in line


def test_the_example_of_the_documents_is_refused_as_it_is_and_each_placeholder_is_named(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "deploying.md").read_text()
    file = tmp_path / "scfm.ini"
    file.write_text(text.partition("```ini\n")[2].partition("```")[0])
    done = Server(tmp_path / "data", {}).run("serve", "--port", "0", "--config", str(file))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "SCFM_ENV" in line]
    for number, name in enumerate(("SCFM_SECRET_KEYS", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"), 1):
        assert f"({number}) {name} is still the placeholder" in line
    assert "(4)" not in line


def test_tokens_in_the_clear_are_sealed_by_hand_and_an_initial_password_is_a_warning(
    settings: dict[str, str], database: Documents, tmp_path: Path
) -> None:
    there = database.client["production"]
    told = {**settings, "MONGODB_DATABASE": there.name, **SAFE}
    try:
        with Server(tmp_path / "data", told) as server:
            server.terminate()
            there["accounts"].update_one({}, {"$set": {"twilio_auth_token": "0123456789abcdef"}})
            refused = server.run("serve", "--port", "0")
            assert refused.returncode == 1 and "(1) secrets are stored in the clear (1)" in refused.stderr
            assert server.run("rotate-keys").returncode == 0
            server.start()
            wait_until(lambda: "still has the password that the first start printed" in server.output())
            assert server.client().patch("/api/users/1", json={"password": "another horse"}).status == 204
            server.terminate()
            del server.stderr[:]
            server.start()
            assert not any("first start" in line for line in server.stderr)
    finally:
        database.client.drop_database(there.name)
