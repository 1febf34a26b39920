"""What ``scfm serve`` prints when the server has started, and what it warns of."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from scfm.models.account_setup import FirstAccount
from scfm.settings import Settings


def start_lines(settings: Settings, url: str, made: FirstAccount | None, super_admin_id: int) -> list[str]:
    """The lines for stdout, the last of which says where the server listens.

    MADE is what an empty database was given just now, or None; SUPER_ADMIN_ID the account that another token is to be
    made for.
    """
    said = []
    if made is not None:
        said += ["This is the super admin's access token. Keep it: it is not shown again.", made.token]
        if made.user is not None:
            said.append(f"The first user is {made.user.email}, with the password {made.user.password}")
    else:
        said.append(f"The first start has printed an access token. To make another: {_token_command(settings)}")
        said[-1] += f" --token-for {super_admin_id}"
    if settings.platform_provider == "simulator":
        said.append("Calls go to the built-in simulator: no phone rings.")
    folder = settings.data_dir.expanduser().resolve()
    said.append(
        f"Data are kept in the database at MONGODB_URI; what this server has sent, in {folder}"
        if settings.mongodb_uri
        else f"Data are kept in {folder}"
    )
    page = f"{settings.public_url or url}/"
    said.append(f"The page, for users: {page} (scfm create-user makes one, scfm set-password sets a lost password)")
    said.append(f"The API, to read and to try: {url}/api/docs")
    said.append("Ctrl-C stops the server; nothing is lost.")
    said.append(f"listening on {url}")
    return said


def _token_command(settings: Settings) -> str:
    """How ``create-account`` is called from here, on the same data."""
    words = [_program(), "create-account"]
    if settings.mongodb_uri:
        return "with the same MONGODB_URI, " + shlex.join(words)
    if settings.data_dir != Settings.data_dir:
        words += ["--data-dir", str(settings.data_dir)]
    return shlex.join(words)


def _program() -> str:
    """``scfm``, or its path where that is not on PATH: make run installs it into a folder of its own."""
    beside = Path(sys.executable).with_name("scfm")
    if shutil.which("scfm") or not beside.exists():
        return "scfm"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def missing_credentials(settings: Settings) -> str | None:
    """What is missing to make calls with the server's own credentials, and what to do; None where nothing is."""
    provider = settings.platform_provider or "twilio"
    if provider == "simulator":
        return None
    names = {
        f"{provider.upper()}_ACCOUNT_SID": getattr(settings, f"{provider}_account_sid"),
        f"{provider.upper()}_AUTH_TOKEN": getattr(settings, f"{provider}_auth_token"),
    }
    if provider == "somleng":
        names["SOMLENG_CLIENT_REST_API_HOST"] = (
            settings.somleng_client_rest_api_host or settings.somleng_client_rest_api_base_url
        )
    missing = [name for name, value in names.items() if not value]
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"{' and '.join(missing)} {verb} not set, so calls of accounts without credentials of their own are errored: "
        "set them, here or on the account, or try with PLATFORM_PROVIDER=simulator, where no phone rings"
    )
