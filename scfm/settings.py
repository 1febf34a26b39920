"""Every setting of the server: its name, its default, and where it is read from.

A file wins over the default, the environment over the file, a command-line flag over the environment.
``config/default.ini`` holds the same list with a comment on each; a test keeps the two alike.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from scfm.errors import StartError
from scfm.setting_names import did_you_mean, nearest, nearest_field
from scfm.setting_values import (
    choice,
    duration,
    http_url,
    integer,
    issuer_url,
    mongodb_address,
    network_list,
    number,
    optional_integer,
)

PROVIDERS = ("twilio", "somleng", "simulator")
# What SCFM_ENV may be: in production what is unsafe keeps a server from its start.
DEVELOPMENT, PRODUCTION = "development", "production"
# The loopback, and the networks that are reachable within an organisation alone (RFC 1918, RFC 4193, RFC 3927).
NEAR_NETWORKS = "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7, 169.254.0.0/16, fe80::/10"
# Only our settings begin so: any other variable that does is a mistyped one.
PROVIDER_PREFIXES = ("TWILIO_", "SOMLENG_")
# The access token of ``scfm alert``, a client: no setting of a server, which may be started beside it.
TOKEN_VARIABLE = "SCFM_TOKEN"
# Of a value that is wrong, the characters that an error shows.
MAX_SHOWN_VALUE = 80


def _setting(
    section: str, env: str, default: Any, read: Callable[[str], Any] = str.strip, *, shown: bool = True
) -> Any:
    """SHOWN: whether the value is in the settings' ``repr``, which may stand in a trace."""
    return field(default=default, repr=shown, metadata={"section": section, "env": env, "read": read})


@dataclass(frozen=True)
class Settings:
    """The settings of a server. A field's name is that in the file; its metadata has the section and the variable."""

    host: str = _setting("server", "HOST", "127.0.0.1")
    port: int = _setting("server", "PORT", 3000, integer(0, 65535))
    data_dir: Path = _setting("server", "SCFM_DATA_DIR", Path("data"), Path)
    environment: str = _setting("server", "SCFM_ENV", DEVELOPMENT, choice(DEVELOPMENT, PRODUCTION))
    secret_keys: str = _setting("server", "SCFM_SECRET_KEYS", "", shown=False)
    secret_keys_file: str = _setting("server", "SCFM_SECRET_KEYS_FILE", "")
    public_url: str = _setting("server", "PUBLIC_URL", "", http_url)
    trusted_proxies: str = _setting("server", "TRUSTED_PROXIES", "", network_list)
    max_body_size: int = _setting("server", "MAX_BODY_SIZE", 1 << 20, integer(1024, 1 << 30))
    account_requests_per_second: float = _setting("server", "ACCOUNT_REQUESTS_PER_SECOND", 500.0, number(0, 100000))
    address_requests_per_second: float = _setting("server", "ADDRESS_REQUESTS_PER_SECOND", 500.0, number(0, 100000))
    metrics_token: str = _setting("server", "METRICS_TOKEN", "", shown=False)
    metrics_allowed_networks: str = _setting("server", "METRICS_ALLOWED_NETWORKS", NEAR_NETWORKS, network_list)
    log_level: str = _setting("server", "LOG_LEVEL", "info", choice("debug", "info", "warning", "error"))
    log_format: str = _setting("server", "LOG_FORMAT", "human", choice("human", "json"))

    oidc_issuer: str = _setting("oidc", "OIDC_ISSUER", "", issuer_url)
    oidc_client_id: str = _setting("oidc", "OIDC_CLIENT_ID", "")
    oidc_client_secret: str = _setting("oidc", "OIDC_CLIENT_SECRET", "", shown=False)

    mongodb_uri: str = _setting("database", "MONGODB_URI", "", mongodb_address, shown=False)
    mongodb_database: str = _setting("database", "MONGODB_DATABASE", "scfm")

    platform_provider: str = _setting("provider", "PLATFORM_PROVIDER", "", choice("", *PROVIDERS))
    twilio_account_sid: str = _setting("provider", "TWILIO_ACCOUNT_SID", "")
    twilio_auth_token: str = _setting("provider", "TWILIO_AUTH_TOKEN", "", shown=False)
    twilio_signing_key: str = _setting("provider", "TWILIO_SIGNING_KEY", "", shown=False)
    twilio_client_rest_api_base_url: str = _setting("provider", "TWILIO_CLIENT_REST_API_BASE_URL", "", http_url)
    somleng_account_sid: str = _setting("provider", "SOMLENG_ACCOUNT_SID", "")
    somleng_auth_token: str = _setting("provider", "SOMLENG_AUTH_TOKEN", "", shown=False)
    somleng_client_rest_api_host: str = _setting("provider", "SOMLENG_CLIENT_REST_API_HOST", "")
    somleng_client_rest_api_base_url: str = _setting("provider", "SOMLENG_CLIENT_REST_API_BASE_URL", "", http_url)
    provider_timeout: float = _setting("provider", "PROVIDER_TIMEOUT", 15.0, number(0.1, 300))
    calls_in_flight: int = _setting("provider", "CALLS_IN_FLIGHT", 100, integer(1, 1000))
    calls_per_second: float = _setting("provider", "CALLS_PER_SECOND", 0.0, number(0, 100000))
    status_check: str = _setting("provider", "STATUS_CHECK", "auto", choice("auto", "always", "never"))
    status_check_seconds: float = _setting("provider", "STATUS_CHECK_SECONDS", 300.0, number(0.1, 86400))

    registered_call_flow_logic: str = _setting("flows", "REGISTERED_CALL_FLOW_LOGIC", "")
    default_call_flow_logic: str = _setting("flows", "DEFAULT_CALL_FLOW_LOGIC", "CallFlowLogic::Application")
    call_flow_play_file_base_url: str = _setting(
        "flows",
        "CALL_FLOW_PLAY_FILE_BASE_URL",
        "https://s3-ap-southeast-1.amazonaws.com/scfm.unicef.io/call_flow_logic/avf_capom",
        http_url,
    )
    call_flow_play_file_extension: str = _setting("flows", "CALL_FLOW_PLAY_FILE_EXTENSION", ".wav")
    call_flow_gather_timeout: int | None = _setting("flows", "CALL_FLOW_GATHER_TIMEOUT", None, optional_integer)

    backup_every: int = _setting("backup", "BACKUP_EVERY", 0, duration(5, 7 * 86400))
    backup_keep: int = _setting("backup", "BACKUP_KEEP", 12, integer(1, 100000))
    backup_dir: str = _setting("backup", "BACKUP_DIR", "")
    backup_passphrase: str = _setting("backup", "BACKUP_PASSPHRASE", "", shown=False)
    backup_passphrase_file: str = _setting("backup", "BACKUP_PASSPHRASE_FILE", "")

    webhook_allowed_networks: str = _setting("webhooks", "WEBHOOK_ALLOWED_NETWORKS", "", network_list)
    webhook_retention_days: int = _setting("webhooks", "WEBHOOK_RETENTION_DAYS", 30, integer(1, 36500))

    lease_seconds: float = _setting("worker", "LEASE_SECONDS", 60.0, number(1, 3600))
    sweep_seconds: float = _setting("worker", "SWEEP_SECONDS", 1.0, number(0.05, 60))
    unknown_grace_seconds: float = _setting("worker", "UNKNOWN_GRACE_SECONDS", 5.0, number(0, 600))
    unknown_limit_seconds: float = _setting("worker", "UNKNOWN_LIMIT_SECONDS", 900.0, number(1, 86400))
    audit_retention_days: int = _setting("worker", "AUDIT_RETENTION_DAYS", 1825, integer(0, 36500))

    retention_recordings_days: int = _setting("retention", "RETENTION_RECORDINGS_DAYS", 0, integer(0, 36500))
    retention_answers_days: int = _setting("retention", "RETENTION_ANSWERS_DAYS", 0, integer(0, 36500))
    retention_calls_days: int = _setting("retention", "RETENTION_CALLS_DAYS", 0, integer(0, 36500))
    retention_callouts_days: int = _setting("retention", "RETENTION_CALLOUTS_DAYS", 0, integer(0, 36500))
    retention_contacts_days: int = _setting("retention", "RETENTION_CONTACTS_DAYS", 0, integer(0, 36500))


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
    of_oidc = (settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)
    if any(of_oidc) and not all((*of_oidc, settings.public_url)):
        raise StartError("OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET belong together, and need PUBLIC_URL")
    if settings.backup_every and not settings.backup_dir:
        raise StartError("BACKUP_EVERY needs BACKUP_DIR, the folder that backups are kept in")
    if settings.backup_passphrase and settings.backup_passphrase_file:
        raise StartError("BACKUP_PASSPHRASE and BACKUP_PASSPHRASE_FILE are both set: set one of them")
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
        meant = nearest(variable, known)
        if meant or variable.startswith(PROVIDER_PREFIXES):
            warnings.append(f"{variable} is not a setting, and is ignored{did_you_mean(meant)}")
    return warnings


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    known = {setting.metadata["env"]: name for name, setting in _FIELDS.items()}
    for variable in environment:
        if variable.startswith("SCFM_") and variable not in (*known, TOKEN_VARIABLE):
            meant = did_you_mean(nearest(variable, known))
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
    return did_you_mean(nearest_field(name, _FIELDS)) or "; config/default.ini lists them"
