"""What is unsafe about a server, and keeps it from its start where SCFM_ENV is production."""

from __future__ import annotations

import re
import stat
from collections import Counter
from contextlib import suppress
from dataclasses import fields
from ipaddress import ip_address

from scfm.errors import StartError
from scfm.models.user import PASSWORD_VERSION
from scfm.models.user_setup import FIRST_EMAIL
from scfm.runtime.secret_keys import key_file
from scfm.setting_values import networks
from scfm.settings import PRODUCTION, Settings
from scfm.storage.store import Store

INITIAL_PASSWORD = (
    f"the user {FIRST_EMAIL} still has the password that the first start printed, which is in that start's logs: "
    "change it"
)

# What the settings' file of docs/deploying.md has where a secret of yours is to be.
PLACEHOLDER = re.compile(r"(?:AC)?(?:\.\.\.|…)")


def check_safe(settings: Settings, secrets: Counter[str | None]) -> None:
    """Raise StartError, naming all that is unsafe, where SCFM_ENV is production. SECRETS: of ``secrets_by_key``."""
    if settings.environment == PRODUCTION and (found := unsafe(settings, secrets)):
        listed = "; ".join(f"({number}) {one}" for number, one in enumerate(found, 1))
        raise StartError(f"SCFM_ENV is production, but this is not safe: {listed}")


def unsafe(settings: Settings, secrets: Counter[str | None]) -> list[str]:
    """What is unsafe, each with what to do."""
    found = [f"{name} is still the placeholder of the example: put yours in" for name in _placeholders(settings)]
    own_keys = settings.secret_keys or settings.secret_keys_file
    if not settings.public_url.startswith("https://"):
        found.append("PUBLIC_URL is no https address: passwords, tokens and calls would pass in the clear")
    if settings.platform_provider == "simulator":
        found.append("PLATFORM_PROVIDER is the simulator, which rings nobody: set twilio or somleng")
    if settings.mongodb_uri and not own_keys:
        found.append("MONGODB_URI is set, and SCFM_SECRET_KEYS is not: all its servers need the same keys")
    if not own_keys and _others_may_read(settings):
        found.append(f"others may read {key_file(settings.data_dir)}: chmod 600")
    if clear := secrets[None]:
        found.append(
            f"secrets are stored in the clear ({clear}): run `scfm rotate-keys`, and set them anew at the provider"
        )
    if not _is_loopback(settings.host) and not settings.trusted_proxies:
        found.append(f"HOST is {settings.host}, and TRUSTED_PROXIES is empty: name the proxy that speaks https")
    if any(network.prefixlen == 0 for network in networks(settings.trusted_proxies)):
        found.append("TRUSTED_PROXIES has every address: whoever connects says where he comes from; name the proxy")
    return found


async def has_initial_password(store: Store) -> bool:
    """Whether the first user has never had another password."""
    return await store.all_tenants.exists("users", {"email": FIRST_EMAIL, PASSWORD_VERSION: 1})


def _placeholders(settings: Settings) -> list[str]:
    """The variables of those settings that nobody has filled in."""
    return [
        one.metadata["env"]
        for one in fields(settings)
        if isinstance(value := getattr(settings, one.name), str) and PLACEHOLDER.fullmatch(value)
    ]


def _others_may_read(settings: Settings) -> bool:
    with suppress(OSError):
        return bool(stat.S_IMODE(key_file(settings.data_dir).stat().st_mode) & 0o077)
    return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
