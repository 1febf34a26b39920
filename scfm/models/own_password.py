"""A password that a user changes by him- or herself: with the present one, as somebody else may be at the browser."""

from __future__ import annotations

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models.audited_change import UPDATED, record_change
from scfm.models.fields import BLANK
from scfm.models.passwords import PASSWORDS
from scfm.models.scope import Scope
from scfm.models.session import keep_session
from scfm.models.sign_in import SignInFailed, authenticate
from scfm.models.user import PASSWORD_VERSION, USERS, password_errors
from scfm.storage.query import Document
from scfm.storage.store import Store

WRONG, SAME = "is wrong", "is the present one"


def check_passwords(password: str, new_password: str) -> None:
    """Raise Invalid where one is missing, or the new one cannot be taken."""
    errors = {"password": [BLANK]} if not password else {}
    messages = password_errors(new_password) or ([SAME] if new_password == password else [])
    if messages:
        errors["new_password"] = messages
    if errors:
        raise Invalid(errors)


async def change_own_password(
    store: Store, scope: Scope, user: Document, secret: str, passwords: tuple[str, str], address: str
) -> None:
    """Change the present one of PASSWORDS to the new one; the USER's sessions end, but the one with this SECRET.

    The present one is compared as when somebody signs in from ADDRESS. Raises SignInFailed where it is wrong, Invalid
    where it was changed meanwhile; TooManyRequests; Overloaded.
    """
    password, new_password = passwords
    compared = await authenticate(store, user["email"], password, address)
    if compared["_id"] != user["_id"]:  # the user's email was changed just now, and is another's
        raise SignInFailed(None)
    password_hash = await PASSWORDS.hash(user["account_id"], new_password)
    version = compared.get(PASSWORD_VERSION, 0) + 1
    change = {"password_hash": password_hash, PASSWORD_VERSION: version, "updated_at": now()}
    unchanged = {"_id": user["_id"], PASSWORD_VERSION: compared.get(PASSWORD_VERSION)}
    updated = await scope.view.update_one(USERS.collection, unchanged, {"$set": change, "$inc": {"_version": 1}})
    if updated is None:
        raise wrong_password()
    await keep_session(store, user["account_id"], secret, version)
    await record_change(scope, USERS, UPDATED, compared, updated)


def wrong_password() -> Invalid:
    """The error of a present password that is not the user's."""
    return Invalid({"password": [WRONG]})
