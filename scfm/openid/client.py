"""The client of the issuer that is set, if one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfm.settings import Settings

if TYPE_CHECKING:
    from scfm.openid.issuer import Issuer


def open_issuer(settings: Settings) -> Issuer | None:
    """The issuer of OIDC_ISSUER, None without one. What it needs takes 11 MB, and is loaded here."""
    if not settings.oidc_issuer:
        return None
    from scfm.openid.issuer import Issuer  # noqa: PLC0415

    return Issuer(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)
