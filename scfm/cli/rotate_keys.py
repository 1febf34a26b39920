"""``scfm rotate-keys``: seal every stored secret with the newest key, so that older ones are not needed any more."""

from __future__ import annotations

import argparse

from scfm.cli.database import with_store
from scfm.cli.options import add_database_options, read_settings
from scfm.errors import StartError
from scfm.models.audit_trail import Subject, command_trail
from scfm.models.registry import sealed_paths
from scfm.models.secret_keys_in_use import keys_in_use, use_only
from scfm.models.stored_secrets import forget_secrets, seal_again, secrets_by_key
from scfm.runtime.secret_box import SecretBox, new_key
from scfm.runtime.secret_keys import add_new_key, key_file, open_box
from scfm.storage.store import Store

PUT_IN_FRONT = """\
The keys are in {where}. Add this one, after a comma: first behind the others, on every server, and restart each;
then in front of them, and restart each. Then run `scfm rotate-keys`."""

TOO_EARLY = (
    "no server has started with {key} as its newest key, so those that run could not read what is sealed with it: "
    "put it in front of SCFM_SECRET_KEYS on every server first"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm rotate-keys``."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--new", action="store_true", help="first put a new key into the data folder's key file")
    what.add_argument(
        "--forget",
        metavar="KEY",
        help="a key that is lost, by its fingerprint: remove the secrets that need it, to be set anew",
    )
    add_database_options(parser)


def run(options: argparse.Namespace) -> int:
    """Seal all anew, and print how many; 0, or 1 where some could not be read. Raises StartError."""
    settings = read_settings(options)
    if options.new and (settings.secret_keys or settings.secret_keys_file):
        where = "SCFM_SECRET_KEYS" if settings.secret_keys else settings.secret_keys_file
        print(PUT_IN_FRONT.format(where=where))
        print(new_key())
        return 0

    async def rotate(store: Store) -> int:
        if options.new:
            add_new_key(settings.data_dir)
            print(
                f"A new key is in {key_file(settings.data_dir)}: keep a copy of the file, elsewhere than the backups."
            )
        box = open_box(settings.secret_keys, settings.secret_keys_file, settings.data_dir)
        if options.forget:
            await _forget(store, box, options.forget)
        elif settings.secret_keys and (known := await keys_in_use(store)) and box.primary not in known:
            raise StartError(TOO_EARLY.format(key=box.primary))
        return await _rotate(store, box)

    return with_store(options, rotate, may_create=False)


async def _rotate(store: Store, box: SecretBox) -> int:
    sealed = 0
    while True:  # a server that runs may have sealed one with an older key meanwhile
        done = await seal_again(store, sealed_paths(), box)
        sealed += done.sealed
        if not done.sealed:
            break
    needed = await secrets_by_key(store, sealed_paths())
    idle = await use_only(store, box, needed)
    print(f"Secrets sealed anew: {sealed}. Sealed with the newest key, {box.primary}: {needed[box.primary]}.")
    if idle:
        print(f"No secret needs {', '.join(idle)} any more. Older backups of the database do.")
    for key, count in sorted(done.unreadable.items()):
        known = "is here: they are damaged, set them anew" if key in box.fingerprints else "is not here: add it"
        print(f"Secrets that could not be read: {count}. Their key, {key}, {known}.")
    return 1 if done.unreadable else 0


async def _forget(store: Store, box: SecretBox, key: str) -> None:
    if key in box.fingerprints:
        raise StartError(f"the key {key} is here, and its secrets can be read: run this without --forget")
    forgotten = await forget_secrets(store, sealed_paths(), key)
    trail = command_trail(store, "rotate-keys")
    for account_id, count in forgotten.items():
        await trail.record(Subject("account", account_id, account_id), "update", {"secrets_forgotten": [count, 0]})
        print(f"Secrets removed from account {account_id}: {count}. Set them anew.")
    print(f"Secrets that needed the key {key}: {sum(forgotten.values())}.")
