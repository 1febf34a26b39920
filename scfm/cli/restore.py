"""``scfm restore``: a backup into an empty database, in which nobody is called by itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from scfm.backups.check_backup import BackupFacts
from scfm.backups.restore_backup import Restored, restore_backup
from scfm.cli.backup import add_passphrase_option, passphrase_of
from scfm.cli.database import with_store
from scfm.cli.options import add_database_options, read_settings
from scfm.runtime.secret_box import fingerprint
from scfm.runtime.secret_keys import add_keys, read_keys
from scfm.settings import Settings

# Lines of a kind that are printed one by one.
MAX_REPORT_LINES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm restore``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a backup that scfm backup has made")
    add_passphrase_option(parser)
    add_database_options(parser)


def run(options: argparse.Namespace) -> int:
    """Restore the backup, and say what was stopped and how to go on; 0. Raises StartError."""
    settings = read_settings(options)
    passphrase = passphrase_of(options, settings)
    restored = with_store(
        options,
        lambda store: restore_backup(store, options.file, passphrase, lambda facts: _keep_keys(facts, settings)),
        may_create=True,
        read_only=True,
        half_restored=True,
    )
    for line in [*report_lines(restored), *_key_lines(restored, settings)]:
        print(line)
    return 0


def report_lines(restored: Restored) -> Iterator[str]:
    """What the officer who starts the server again must know, line by line."""
    since, settled = restored.facts.started_at, restored.settled
    database = restored.facts.header["database"]
    yield f"Restored {restored.documents} documents of the database {database}, as of {since}."
    yield (
        f"Missing is what was acknowledged after {since}: contacts, opt-outs, changes, and calls. "
        "Who was called after that cannot be known here: ask the provider's log of calls."
    )
    yield from _limited(
        f"callout {one.callout_id} of account {one.account_id} ran, and is paused: {one.uncalled} of its "
        f"{one.people} people were not called before {since}. Compare with the provider's log, then "
        "resume it, or stop it."
        for one in settled.callouts
    )
    yield from _limited(
        f"account {one.account_id}: its calls are held, as {one.waiting} of no running callout were queued. "
        "Cancel those that the provider's log has, then release the account's calls."
        for one in settled.accounts
    )
    yield from _limited(
        f"batch operation {operation} of account {account} was stopped: queue it again, and it does what is left."
        for account, operation in settled.operations
    )
    if settled.unknown:
        yield f"{settled.unknown} calls were about to leave: the provider is asked for them, and none is sent again."
    if settled.asked:
        yield f"{settled.asked} calls were at the provider: it is asked how they ended."
    yield from _limited(
        f"{name} {one.document_id} was left out: while the backup was made, another got its values ({one.index})."
        for name, one in restored.left_out
    )
    yield "People who were signed in must sign in again."


def _keep_keys(facts: BackupFacts, settings: Settings) -> Path | None:
    """Put the keys that the backup has where the server finds them; in which file, None if they are not needed."""
    given = (facts.keys or "").split()
    if given and _missing(facts, settings) and not (settings.secret_keys or settings.secret_keys_file):
        return add_keys(settings.data_dir, given)
    return None


def _key_lines(restored: Restored, settings: Settings) -> Iterator[str]:
    """Where the keys of the backup are, and what to do about those that are missing."""
    if restored.keys_file is not None:
        yield f"The secret keys of the backup are in {restored.keys_file}."
    if missing := _missing(restored.facts, settings):
        yield (
            f"The key {', '.join(sorted(missing))}, which seals provider tokens and other secrets, is not here: "
            "put back secret.key, or SCFM_SECRET_KEYS, before you start the server; or else set these secrets anew."
        )


def _missing(facts: BackupFacts, settings: Settings) -> frozenset[str]:
    """The fingerprints of the keys that the backup needs, and that are not where the server finds them."""
    keys = read_keys(settings.secret_keys, settings.secret_keys_file, settings.data_dir)
    return facts.needed_keys - {fingerprint(key) for key in keys}


def _limited(lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    yield from lines[:MAX_REPORT_LINES]
    if len(lines) > MAX_REPORT_LINES:
        yield f"… and {len(lines) - MAX_REPORT_LINES} more of these"
