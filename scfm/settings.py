"""Every setting of the server: its name, its default, and where it is read from.

A file wins over the default, the environment over the file, a command-line flag over the environment.
``config/default.ini`` holds the same list with a comment on each; a test keeps the two alike.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scfm.errors import StartError

PROVIDERS = ("twilio", "somleng", "simulator")
# Only our settings begin so: any other variable that does is a mistyped one.
PROVIDER_PREFIXES = ("TWILIO_", "SOMLENG_")
# The access token of ``scfm alert``, a client: no setting of a server, which may be started beside it.
TOKEN_VARIABLE = "SCFM_TOKEN"
# How similar two names must be (difflib's ratio, 0 to 1) for one to be taken for the other, mistyped.
MIN_SIMILARITY, MIN_SIMILARITY_OF_SHORT = 0.8, 0.85
# Of a value that is wrong, the characters that an error shows.
MAX_SHOWN_VALUE = 80


def _integer(minimum: int, maximum: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        written = value.strip()
        if not re.fullmatch(r"[0-9]{1,18}", written, re.ASCII) or not minimum <= int(written) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(written)

    return read


def _number(minimum: float, maximum: float) -> Callable[[str], float]:
    def read(value: str) -> float:
        written = value.strip()
        if (
            not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{0,18})?", written, re.ASCII)
            or not minimum <= float(written) <= maximum
        ):
            raise ValueError(f"must be a number from {minimum:g} to {maximum:g}")
        return float(written)

    return read


def _optional_integer(value: str) -> int | None:
    return _integer(1, 600)(value) if value.strip() else None


def _choice(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        chosen = value.strip().lower()
        if chosen not in choices:
            raise ValueError(f"must be one of: {', '.join(name or '(empty)' for name in choices)}")
        return chosen

    return read


def _url(value: str) -> str:
    url = value.strip().rstrip("/")
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise ValueError("must be a URL such as https://example.org")
    return url


def _mongodb_uri(value: str) -> str:
    uri = value.strip()
    if uri and not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    return uri


def _setting(section: str, env: str, default: Any, read: Callable[[str], Any] = str.strip) -> Any:
    return field(default=default, metadata={"section": section, "env": env, "read": read})


@dataclass(frozen=True)
class Settings:
    """The settings of a server. A field's name is that in the file; its metadata has the section and the variable."""

    host: str = _setting("server", "HOST", "127.0.0.1")
    port: int = _setting("server", "PORT", 3000, _integer(0, 65535))
    data_dir: Path = _setting("server", "SCFM_DATA_DIR", Path("data"), Path)
    public_url: str = _setting("server", "PUBLIC_URL", "", _url)
    max_body_size: int = _setting("server", "MAX_BODY_SIZE", 1 << 20, _integer(1024, 1 << 30))
    log_level: str = _setting("server", "LOG_LEVEL", "info", _choice("debug", "info", "warning", "error"))

    mongodb_uri: str = _setting("database", "MONGODB_URI", "", _mongodb_uri)
    mongodb_database: str = _setting("database", "MONGODB_DATABASE", "scfm")

    platform_provider: str = _setting("provider", "PLATFORM_PROVIDER", "", _choice("", *PROVIDERS))
    twilio_account_sid: str = _setting("provider", "TWILIO_ACCOUNT_SID", "")
    twilio_auth_token: str = _setting("provider", "TWILIO_AUTH_TOKEN", "")
    twilio_signing_key: str = _setting("provider", "TWILIO_SIGNING_KEY", "")
    twilio_client_rest_api_base_url: str = _setting("provider", "TWILIO_CLIENT_REST_API_BASE_URL", "", _url)
    somleng_account_sid: str = _setting("provider", "SOMLENG_ACCOUNT_SID", "")
    somleng_auth_token: str = _setting("provider", "SOMLENG_AUTH_TOKEN", "")
    somleng_client_rest_api_host: str = _setting("provider", "SOMLENG_CLIENT_REST_API_HOST", "")
    somleng_client_rest_api_base_url: str = _setting("provider", "SOMLENG_CLIENT_REST_API_BASE_URL", "", _url)
    provider_timeout: float = _setting("provider", "PROVIDER_TIMEOUT", 15.0, _number(0.1, 300))
    calls_in_flight: int = _setting("provider", "CALLS_IN_FLIGHT", 100, _integer(1, 1000))
    calls_per_second: float = _setting("provider", "CALLS_PER_SECOND", 0.0, _number(0, 100000))
    status_check: str = _setting("provider", "STATUS_CHECK", "auto", _choice("auto", "always", "never"))
    status_check_seconds: float = _setting("provider", "STATUS_CHECK_SECONDS", 300.0, _number(0.1, 86400))

    registered_call_flow_logic: str = _setting("flows", "REGISTERED_CALL_FLOW_LOGIC", "")
    default_call_flow_logic: str = _setting("flows", "DEFAULT_CALL_FLOW_LOGIC", "CallFlowLogic::Application")
    call_flow_play_file_base_url: str = _setting(
        "flows",
        "CALL_FLOW_PLAY_FILE_BASE_URL",
        "https://s3-ap-southeast-1.amazonaws.com/scfm.unicef.io/call_flow_logic/avf_capom",
        _url,
    )
    call_flow_play_file_extension: str = _setting("flows", "CALL_FLOW_PLAY_FILE_EXTENSION", ".wav")
    call_flow_gather_timeout: int | None = _setting("flows", "CALL_FLOW_GATHER_TIMEOUT", None, _optional_integer)

    lease_seconds: float = _setting("worker", "LEASE_SECONDS", 60.0, _number(1, 3600))
    sweep_seconds: float = _setting("worker", "SWEEP_SECONDS", 1.0, _number(0.05, 60))
    unknown_grace_seconds: float = _setting("worker", "UNKNOWN_GRACE_SECONDS", 5.0, _number(0, 600))
    unknown_limit_seconds: float = _setting("worker", "UNKNOWN_LIMIT_SECONDS", 900.0, _number(1, 86400))


def load(
    environment: Mapping[str, str], flags: Mapping[str, Any] | None = None, file: Path | None = None
) -> Settings:
    """The settings of FILE, overridden by those of ENVIRONMENT, and these by FLAGS.

    FLAGS maps field names to text, or to None where the flag was not given.
    Raises StartError for a setting that is unknown or malformed.
    """
    given: dict[str, Any] = {}
    if file is not None:
        given.update(_from_file(file))
    given.update(_from_environment(environment))
    for name, value in (flags or {}).items():
        if value is not None:
            given[name] = _read(name, str(value), "--" + name.replace("_", "-"))
    settings = replace(Settings(), **given)
    # A call is sent in the first half of its lease, and its request may take twice the time-out: before that no other
    # process may claim it.
    if settings.lease_seconds < 4 * settings.provider_timeout:
        raise StartError("LEASE_SECONDS must be at least four times PROVIDER_TIMEOUT")
    return settings


_FIELDS = {setting.name: setting for setting in fields(Settings)}


def _read(name: str, value: str, where: str) -> Any:
    try:
        return _FIELDS[name].metadata["read"](value)
    except ValueError as error:
        raise StartError(f"{where} is {_shown(value)}, but {error}") from None


def _shown(value: str) -> str:
    """A wrong value as an error shows it, without a password in a URL."""
    shown = re.sub(r"://[^/@]*@", "://***@", value)
    return repr(shown if len(shown) <= MAX_SHOWN_VALUE else shown[:MAX_SHOWN_VALUE] + "…")


def mistyped_variables(environment: Mapping[str, str]) -> list[str]:
    """A warning for each variable that looks like a mistyped setting; those of other programs do not."""
    known = {setting.metadata["env"] for setting in fields(Settings)}
    warnings = []
    for variable, value in sorted(environment.items()):
        if variable in known or not value:
            continue
        nearest = _nearest(variable, known)
        if nearest or variable.startswith(PROVIDER_PREFIXES):
            warnings.append(f"{variable} is not a setting, and is ignored{_did_you_mean(nearest)}")
    return warnings


def _nearest(name: str, known: Collection[str]) -> str | None:
    """The one of KNOWN that NAME is a mistyped form of, or None."""
    for setting in get_close_matches(name.upper(), known, n=1, cutoff=MIN_SIMILARITY):
        # One letter more makes a mistyped PORT, two make another program's variable.
        if (
            len(setting) > len("PORT")
            or SequenceMatcher(None, name.upper(), setting).ratio() > MIN_SIMILARITY_OF_SHORT
        ):
            return setting
    return None


def _did_you_mean(nearest: str | None) -> str:
    return f"; did you mean {nearest}?" if nearest else ""


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    known = {setting.metadata["env"]: name for name, setting in _FIELDS.items()}
    for variable in environment:
        if variable.startswith("SCFM_") and variable not in (*known, TOKEN_VARIABLE):
            meant = _did_you_mean(_nearest(variable, known))
            raise StartError(f"{variable} is not a setting{meant or '; config/default.ini lists them'}")
    return {name: _read(name, environment[env], env) for env, name in known.items() if environment.get(env)}


def _from_file(file: Path) -> dict[str, Any]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with file.open(encoding="utf-8") as lines:
            parser.read_file(lines)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = " ".join(str(error).split())
        raise StartError(f"the settings file {file} cannot be read: {reason}") from None
    given = {}
    for section in parser.sections():
        for name, value in parser.items(section):
            setting = _FIELDS.get(name)
            if setting is None or setting.metadata["section"] != section:
                place = f"{file}: [{section}] {name}"
                raise StartError(f"{place} is not a setting{_hint_in_file(name)}")
            if value.strip():
                given[name] = _read(name, value, f"{file}: [{section}] {name}")
    return given


def _hint_in_file(name: str) -> str:
    right = _FIELDS.get(name)
    if right is not None:
        return f"; it belongs under [{right.metadata['section']}]"
    close = get_close_matches(name, _FIELDS, n=1, cutoff=MIN_SIMILARITY)
    return _did_you_mean(close[0]) if close else "; config/default.ini lists them"
