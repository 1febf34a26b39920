"""Signing in with a password, and how often it may fail: of what is tried too often nothing is compared any more.

A try counts as a failure before the password is compared, and is taken back where it was the right one. So no more
are compared at the same time, by however many processes, than may fail; and one that was cut off has failed.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from datetime import timedelta
from functools import lru_cache

from scfm.errors import TooManyRequests, Unauthorized
from scfm.models.passwords import PASSWORDS
from scfm.models.user import normal_email
from scfm.storage.query import Document
from scfm.storage.recent_marks import Mark, RecentMarks
from scfm.storage.store import Store

SIGN_IN_FAILURES = "sign_in_failures"
FAILURE_WINDOW = timedelta(minutes=5)
# Failures within that time: for an email from one address; from one address; for an email.
MAX_FAILURES_OF_BOTH, MAX_FAILURES_OF_ADDRESS, MAX_FAILURES_OF_EMAIL = 5, 50, 200
# A household or a machine has as many addresses of IPv6 as it likes within its network.
IPV6_PREFIX = 64
# Those that are kept parsed: each request asks for one.
MAX_NETWORKS = 4096


class SignInFailed(Unauthorized):
    """The email or the password is wrong. ``user`` is the one with that email, None where nobody has it."""

    def __init__(self, user: Document | None) -> None:
        super().__init__(challenge=False)
        self.user = user


async def authenticate(store: Store, email: str, password: str, address: str) -> Document:
    """The user with this EMAIL and PASSWORD. ADDRESS is the IP address of who tries.

    Raises SignInFailed; TooManyRequests where that failed too often, for the right password, too; Overloaded.
    """
    email, address = normal_email(email), network_of(address)
    PASSWORDS.check_wait(address)  # what is refused anyway asks the database for nothing
    limits = _limits(email, address)
    failures = RecentMarks(store.database, SIGN_IN_FAILURES, FAILURE_WINDOW)
    if wait := await failures.seconds_until_below(limits):
        raise TooManyRequests(wait)
    async with PASSWORDS.turn(address):
        finding = store.all_tenants.find_one("users", {"email": email})
        mark, user = await asyncio.gather(failures.add(limits), finding)
        if not isinstance(mark, Mark):
            raise TooManyRequests(mark)
        compared = await PASSWORDS.compare(user.get("password_hash") if user is not None else None, password)
    if user is None or not compared.is_right:
        raise SignInFailed(user)
    await failures.remove(mark)
    if compared.new_hash is not None:
        same = {"_id": user["_id"], "password_hash": user["password_hash"]}
        view = store.for_account(user["account_id"])
        await view.update_one("users", same, {"$set": {"password_hash": compared.new_hash}})
    return user


@lru_cache(MAX_NETWORKS)
def network_of(address: str) -> str:
    """What counts as one address: an address of IPv4, or a network of IPv6; a text that is neither as it is."""
    try:
        read = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(read, ipaddress.IPv4Address):
        return str(read)
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return str(ipaddress.ip_network((read, IPV6_PREFIX), strict=False))


def _limits(email: str, address: str) -> dict[str, int]:
    """By key, how many failures there may be. A key is a digest: it has one size, whatever the email."""
    kinds = {
        f"both\0{address}\0{email}": MAX_FAILURES_OF_BOTH,
        f"address\0{address}": MAX_FAILURES_OF_ADDRESS,
        f"email\0{email}": MAX_FAILURES_OF_EMAIL,
    }
    return {hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest(): most for key, most in kinds.items()}
