"""What a server looks at before it starts: whether it has its secret keys and, in production, is safe."""

from __future__ import annotations

import logging

from scfm.models.production import INITIAL_PASSWORD, check_safe, has_initial_password
from scfm.models.registry import sealed_paths
from scfm.models.secret_keys_in_use import check_keys
from scfm.models.stored_secrets import secrets_by_key
from scfm.runtime.secret_box import SecretBox
from scfm.runtime.secret_keys import open_box
from scfm.settings import PRODUCTION, Settings
from scfm.storage.store import Store

log = logging.getLogger("scfm")


async def open_secret_box(settings: Settings, store: Store) -> SecretBox:
    """The box of a server on the database of STORE. Raises StartError for a missing key, and for what is unsafe."""
    secrets = await secrets_by_key(store, sealed_paths())
    check_safe(settings, secrets)
    box = open_box(settings.secret_keys, settings.secret_keys_file, settings.data_dir)
    await check_keys(store, secrets, box)
    if settings.environment == PRODUCTION and await has_initial_password(store):
        log.warning("%s", INITIAL_PASSWORD)
    return box
