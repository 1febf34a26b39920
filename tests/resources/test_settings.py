"""Settings: a file over the defaults, the environment over the file, a flag over the environment."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from scfm.errors import StartError
from scfm.settings import Settings, load, mistyped_variables

DEFAULT_INI = Path(__file__).parents[2] / "config" / "default.ini"

MALFORMED = [
    ("PORT", "http"),
    ("PORT", "65536"),
    ("PORT", "-1"),
    ("TRUSTED_PROXIES", "nginx"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("OIDC_ISSUER", "http://accounts.example.org"),
    ("OIDC_ISSUER", "https://accounts.example.org/?a=b"),
    ("MAX_BODY_SIZE", "1"),
    ("LOG_LEVEL", "loud"),
    ("PUBLIC_URL", "alerts.example.org"),
    ("MONGODB_URI", "postgres://127.0.0.1/scfm"),
    ("PLATFORM_PROVIDER", "nexmo"),
    ("TWILIO_CLIENT_REST_API_BASE_URL", "ftp://127.0.0.1"),
    ("PROVIDER_TIMEOUT", "nan"),
    ("CALLS_IN_FLIGHT", "0"),
    ("CALL_FLOW_GATHER_TIMEOUT", "soon"),
    ("LEASE_SECONDS", "0"),
]


def file_with(folder: Path, text: str) -> Path:
    file = folder / "scfm.ini"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(*given: Any) -> str:
    """The one line with which these settings are refused."""
    with pytest.raises(StartError) as refused:
        load(*given)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_file_wins_over_the_default_the_environment_over_the_file_and_a_flag_over_both(tmp_path: Path) -> None:
    file = file_with(tmp_path, "[server]\nhost = 10.0.0.1\nport = 3001\nlog_level = debug\n")
    settings = load({"PORT": "3002", "HOST": "10.0.0.2"}, {"port": "3003", "host": None}, file)
    assert (settings.log_level, settings.host, settings.port) == ("debug", "10.0.0.2", 3003)
    assert settings.max_body_size == Settings().max_body_size


def test_with_nothing_given_every_setting_has_its_default() -> None:
    assert load({}) == Settings()


def test_an_empty_value_means_the_default(tmp_path: Path) -> None:
    file = file_with(tmp_path, "[server]\nport =\n")
    assert load({"HOST": "", "LOG_LEVEL": ""}, {}, file) == Settings()


def test_the_environment_of_other_programs_is_left_alone() -> None:
    assert load({"PATH": "/bin", "DATABASE_URL": "postgres://127.0.0.1/other"}) == Settings()


@pytest.mark.parametrize(("variable", "value"), MALFORMED)
def test_a_malformed_variable_is_refused_by_its_name(variable: str, value: str) -> None:
    assert refusal({variable: value}).startswith(f"{variable} is {value!r}")


@pytest.mark.parametrize(("variable", "value"), MALFORMED)
def test_a_malformed_setting_in_a_file_is_refused_by_its_place(variable: str, value: str, tmp_path: Path) -> None:
    (setting,) = [one for one in fields(Settings) if one.metadata["env"] == variable]
    section = setting.metadata["section"]
    file = file_with(tmp_path, f"[{section}]\n{setting.name} = {value}\n")
    assert refusal({}, {}, file).startswith(f"{file}: [{section}] {setting.name} is {value!r}")


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("PORT", "abc", "must be a whole number from 0 to 65535"),
        ("PORT", "3000.0", "must be a whole number from 0 to 65535"),
        ("PORT", "٣٠٠٠", "must be a whole number from 0 to 65535"),
        ("PORT", "3_000", "must be a whole number from 0 to 65535"),
        ("PORT", "9" * 5000, "must be a whole number from 0 to 65535"),
        ("CALL_FLOW_GATHER_TIMEOUT", "soon", "must be a whole number from 1 to 600"),
        ("PROVIDER_TIMEOUT", "inf", "must be a number from 0.1 to 300"),
        ("CALLS_PER_SECOND", "fast", "must be a number from 0 to 100000"),
    ],
)
def test_a_number_that_is_none_is_refused_with_what_it_must_be(variable: str, value: str, rule: str) -> None:
    refused = refusal({variable: value})
    assert refused.startswith(f"{variable} is '{value[:80]}") and refused.endswith(f", but {rule}")
    assert "literal" not in refused and "convert" not in refused


@pytest.mark.parametrize("missing", ["OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "PUBLIC_URL"])
def test_an_issuer_needs_all_that_belongs_to_it(missing: str) -> None:
    given = {
        "OIDC_ISSUER": "https://accounts.example.org/",
        "OIDC_CLIENT_ID": "scfm",
        "OIDC_CLIENT_SECRET": "secret",
        "PUBLIC_URL": "https://alerts.example.org",
    }
    assert load(given).oidc_issuer == "https://accounts.example.org/"
    assert refusal({name: value for name, value in given.items() if name != missing}).startswith("OIDC_ISSUER, ")


def test_a_password_in_a_wrong_url_is_not_shown() -> None:
    refused = refusal({"MONGODB_URI": "mongo://scfm:secret@db.example.org/"})
    assert "secret" not in refused and "db.example.org" in refused


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CALL_PER_SECOND", "CALLS_PER_SECOND"),
        ("CALLS_PER_SECONDS", "CALLS_PER_SECOND"),
        ("TWILIO_AUTHTOKEN", "TWILIO_AUTH_TOKEN"),
        ("TWILIO_TOKEN", "TWILIO_AUTH_TOKEN"),
        ("MONGO_URI", "MONGODB_URI"),
        ("MONGODB_URL", "MONGODB_URI"),
        ("PUBLIC_URI", "PUBLIC_URL"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("PLATFORM_PROVIDERS", "PLATFORM_PROVIDER"),
        ("twilio_auth_token", "TWILIO_AUTH_TOKEN"),
        ("TWILIO_API_KEY", None),
    ],
)
def test_a_variable_that_looks_like_a_mistyped_setting_is_told(variable: str, meant: str | None) -> None:
    (sentence,) = mistyped_variables({variable: "a value", "PATH": "/bin"})
    assert sentence.startswith(f"{variable} is not a setting, and is ignored")
    assert meant is None or sentence.endswith(f"did you mean {meant}?")
    assert "a value" not in sentence


@pytest.mark.parametrize(
    "variable",
    [
        *(
            "PATH",
            "HOME",
            "HOSTNAME",
            "LANG",
            "LC_ALL",
            "PGHOST",
            "PGPORT",
            "SSH_TTY",
            "PWD",
            "TERM",
            "USER",
            "SHLVL",
        ),
        *("DATABASE_URL", "MONGODB_PORT_27017_TCP", "MONGODB_SERVICE_HOST", "HTTP_PROXY", "KUBERNETES_PORT", "CI"),
        *(
            "GITHUB_TOKEN",
            "AWS_REGION",
            "DOCKER_HOST",
            "VIRTUAL_ENV",
            "PYTHONUNBUFFERED",
            "ACCESS_TOKEN",
            "MAKELEVEL",
        ),
        *(one.metadata["env"] for one in fields(Settings)),
    ],
)
def test_settings_and_the_variables_of_other_programs_raise_no_doubt(variable: str) -> None:
    assert mistyped_variables({variable: "1"}) == []
    assert mistyped_variables({"CALL_PER_SECOND": ""}) == []


def test_a_mistyped_name_is_refused_with_the_one_that_is_meant(tmp_path: Path) -> None:
    assert refusal({"SCFM_DATADIR": "/data"}).endswith("did you mean SCFM_DATA_DIR?")
    assert refusal({}, {}, file_with(tmp_path, "[server]\nlog_levle = info\n")).endswith("did you mean log_level?")
    misplaced = file_with(tmp_path, "[provider]\nport = 3000\n")
    assert refusal({}, {}, misplaced).endswith("it belongs under [server]")


def test_a_malformed_flag_is_refused_by_its_name() -> None:
    assert refusal({}, {"mongodb_uri": "nowhere"}).startswith("--mongodb-uri is 'nowhere'")


@pytest.mark.parametrize(
    "text",
    ["[server]\nprot = 3000\n", "[provider]\nport = 3000\n", "[sever]\nport = 3000\n"],
    ids=["an unknown name", "another section's name", "an unknown section"],
)
def test_a_setting_that_the_server_does_not_know_is_refused(text: str, tmp_path: Path) -> None:
    assert "is not a setting" in refusal({}, {}, file_with(tmp_path, text))


def test_a_variable_of_ours_that_is_not_a_setting_is_refused() -> None:
    assert refusal({"SCFM_DATADIR": "/data"}).startswith("SCFM_DATADIR is not a setting")


@pytest.mark.parametrize("text", ["port = 3000\n", "[server\n", "[server]\nport\n", "[server]\nport=1\nport=2\n"])
def test_a_file_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    file = file_with(tmp_path, text)
    assert refusal({}, {}, file).startswith(f"the settings file {file} cannot be read")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "none.ini"
    assert refusal({}, {}, file).startswith(f"the settings file {file} cannot be read")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.ini"
    file.write_bytes(b"[server]\nhost = \xe9\n")
    assert refusal({}, {}, file).startswith(f"the settings file {file} cannot be read")


def test_a_malformed_setting_stops_the_start_with_one_line(tmp_path: Path) -> None:
    stopped = subprocess.run(
        [sys.executable, "-m", "scfm", "serve", "--port", "http", "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (stopped.returncode, stopped.stdout) == (1, "")
    assert stopped.stderr.splitlines() == [stopped.stderr.strip()]
    assert stopped.stderr.startswith("scfm: --port is 'http'")
    assert not (tmp_path / "data").exists()


def test_the_default_file_holds_every_setting_in_order_with_its_default() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(DEFAULT_INI, encoding="utf-8")
    listed = [(section, name) for section in parser.sections() for name in parser[section]]
    assert listed == [(one.metadata["section"], one.name) for one in fields(Settings)]
    assert load({}, {}, DEFAULT_INI) == Settings()


def test_the_default_file_shows_a_default_wherever_there_is_one() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(DEFAULT_INI, encoding="utf-8")
    empty = {name for section in parser.sections() for name, value in parser[section].items() if not value}
    assert empty == {one.name for one in fields(Settings) if one.default in ("", None)}


def test_the_default_file_names_the_variable_of_every_setting_in_a_comment() -> None:
    comments = "\n".join(line for line in DEFAULT_INI.read_text().splitlines() if line.startswith(";"))
    named = set(re.findall(r"[A-Z][A-Z_]+", comments))
    assert {one.metadata["env"] for one in fields(Settings)} <= named


def test_secrets_are_not_in_what_a_trace_may_show() -> None:
    secret = "0123456789abcdef"
    names = ["SCFM_SECRET_KEYS", "TWILIO_AUTH_TOKEN", "TWILIO_SIGNING_KEY", "SOMLENG_AUTH_TOKEN"]
    given = {**dict.fromkeys(names, secret), "MONGODB_URI": f"mongodb://scfm:{secret}@db.example.org"}
    oidc = {"OIDC_ISSUER": "https://id.example.org", "OIDC_CLIENT_ID": "scfm", "OIDC_CLIENT_SECRET": secret}
    settings = load({**given, **oidc, "PUBLIC_URL": "https://alerts.example.org"})
    assert settings.oidc_client_secret == secret and secret not in repr(settings)


def test_no_setting_with_the_name_of_a_secret_is_shown_in_a_trace() -> None:
    named = [one for one in fields(Settings) if re.search(r"(TOKEN|KEYS?|SECRET|PASSPHRASE)\Z", one.metadata["env"])]
    assert len(named) >= 7
    assert [one.name for one in named if one.repr] == []
