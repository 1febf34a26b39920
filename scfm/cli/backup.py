"""``scfm backup``: the whole database in one file, of a server that runs or has been stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

from scfm.backups.check_backup import check_backup
from scfm.backups.make_backup import BackupOptions, make_backup
from scfm.backups.passphrase import read_passphrase
from scfm.cli.database import with_store
from scfm.cli.options import add_database_options, read_settings
from scfm.clock import iso
from scfm.runtime.secret_keys import read_keys
from scfm.settings import Settings

MEGABYTE = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm backup``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to make, which must not be there yet")
    parser.add_argument(
        "--verify", action="store_true", help="make none, but read the backup FILE and say whether it is whole"
    )
    parser.add_argument("--encrypt", action="store_true", help="encrypt it with a passphrase")
    add_passphrase_option(parser)
    parser.add_argument(
        "--with-keys",
        action="store_true",
        help="put the keys that seal provider tokens and other secrets into it, too; only with --encrypt",
    )
    add_database_options(parser)
    parser.set_defaults(wrong_use=parser.error)


def add_passphrase_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the file with the passphrase of a backup."""
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="a file with a passphrase, or random bytes (default: BACKUP_PASSPHRASE_FILE or BACKUP_PASSPHRASE)",
    )


def passphrase_of(options: argparse.Namespace, settings: Settings) -> bytes | None:
    """The passphrase that the options name, else that of the settings. Raises BackupError."""
    if options.passphrase_file:
        return read_passphrase("", options.passphrase_file)
    return read_passphrase(settings.backup_passphrase, settings.backup_passphrase_file)


def run(options: argparse.Namespace) -> int:
    """Make or check a backup, and say what is in it; 0. Raises StartError."""
    settings = read_settings(options)
    passphrase = passphrase_of(options, settings)
    if options.verify:
        return _verify(options.file, passphrase)
    if options.encrypt and passphrase is None:
        options.wrong_use("--encrypt needs a passphrase: name a file with one by --passphrase-file")
    if options.with_keys and not options.encrypt:
        options.wrong_use("--with-keys needs --encrypt: who has the keys can read every secret in the backup")
    keys = read_keys(settings.secret_keys, settings.secret_keys_file, settings.data_dir)
    backup_options = BackupOptions(
        passphrase=passphrase if options.encrypt else None,
        keys="\n".join(keys).encode() if options.with_keys else None,
    )
    made = with_store(
        options, lambda store: make_backup(store, options.file, backup_options), may_create=False, read_only=True
    )
    kept = "encrypted" if options.encrypt else "not encrypted: keep it where nobody else can read it"
    print(f"{made.path}: {made.documents} documents, {made.size / MEGABYTE:.1f} MB, in {made.seconds:.1f} s, {kept}.")
    print(f"All that was acknowledged before {iso(made.started_at)} is in it.")
    if not options.with_keys:
        print(
            "The keys that seal provider tokens are not in it: keep a copy of secret.key in the data folder, "
            "or of SCFM_SECRET_KEYS, elsewhere."
        )
    return 0


def _verify(file: Path, passphrase: bytes | None) -> int:
    facts = check_backup(file, passphrase)
    print(f"{file} is whole: a backup of the database {facts.header['database']}, made by {facts.header['program']}.")
    print(f"All that was acknowledged before {facts.started_at} is in it.")
    if facts.counts is None:
        print("It is encrypted, and only its checksums were compared: with its passphrase, more can be.")
        return 0
    for name, count in sorted(facts.counts.items()):
        print(f"{count:>12} {name}")
    return 0
