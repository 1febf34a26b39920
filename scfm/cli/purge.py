"""``scfm purge``: remove what is older than so many days, of one kind, at once."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from pathlib import Path

from scfm.cli.database import with_store
from scfm.cli.options import add_database_options
from scfm.clock import now
from scfm.errors import StartError
from scfm.models.account_setup import first_super_admin
from scfm.models.audit_trail import Subject, command_trail
from scfm.privacy.erasure_log import erase_again
from scfm.privacy.retention import PURGED_KINDS, Retention
from scfm.storage.query import Document
from scfm.storage.store import Store

PURGE = "purge"
WORDS = {
    "recordings": "recordings and answers that lead to them",
    "answers": "participations with answers",
    "calls": "phone calls",
    "callouts": "participations in finished callouts",
    "contacts": "contacts",
}
DONE = {
    "recordings": "The server has the provider delete the recordings.",
    "answers": "The server has the provider delete what was recorded for them.",
    "contacts": "The server erases them; a contact is not found any more when that is done.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm purge``."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--kind", choices=PURGED_KINDS, help="of what: see docs/data-protection.md")
    what.add_argument(
        "--again", type=Path, metavar="FILE", help="after a restore: erase again whom erasures.jsonl names"
    )
    parser.add_argument("--older-than", type=_days, metavar="DAYS", help="what is kept: 365d, a number of days")
    parser.add_argument("--dry-run", action="store_true", help="only say how many there are")
    add_database_options(parser)


def run(options: argparse.Namespace) -> int:
    """Purge, and say how many documents that were; 0. Raises StartError."""
    if options.again is not None:
        return _erase_again(options)
    if options.older_than is None:
        raise StartError("scfm purge --kind needs --older-than, such as --older-than 365d")

    async def purge(store: Store) -> int:
        before = now() - timedelta(days=options.older_than)
        count = await Retention(store, max_rest=0.0).purge(options.kind, before, dry_run=options.dry_run)
        if not options.dry_run:
            what = {"kind": options.kind, "older_than_days": options.older_than, "purged": count}
            await _record(store, what)
        return count

    count = with_store(options, purge, may_create=False)
    verb = "would be purged" if options.dry_run else "purged"
    print(f"{count} {WORDS[options.kind]} older than {options.older_than} days {verb}.")
    if count and not options.dry_run and options.kind in DONE:
        print(DONE[options.kind])
    return 0


def _erase_again(options: argparse.Namespace) -> int:
    if options.dry_run or options.older_than is not None:
        raise StartError("scfm purge --again takes neither --older-than nor --dry-run")

    async def begin(store: Store) -> int:
        count = await erase_again(store, options.again)
        await _record(store, {"again": options.again.name, "contacts": count})
        return count

    print(f"{with_store(options, begin, may_create=False)} contacts are erased again. {DONE['contacts']}")
    return 0


async def _record(store: Store, what: Document) -> None:
    """Have an audit event of it in the account of the server's first super admin: it is about all accounts."""
    account_id = await first_super_admin(store)
    changes = {name: [None, value] for name, value in what.items()}
    await command_trail(store, PURGE).record(Subject("account", account_id, account_id), PURGE, changes)
    await store.quiesce()


def _days(text: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,4})d?", text, re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, such as 365d")
    return int(found[1])
