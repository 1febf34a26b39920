"""Secrets at rest: texts sealed with a key that is not where they are stored.

A sealed text is ``sealed:1:KEY:TOKEN``, or ``sealed:1:KEY:TOKEN:SHOWN``. KEY is the fingerprint of the key that it
needs, TOKEN is Fernet's (AES-128 in CBC mode, HMAC-SHA256: see https://github.com/fernet/spec), and SHOWN is what
anybody may see of the secret, in the clear. So a text that was stored in the clear before is told from a sealed one,
and of a sealed one it is known which key it needs, without that key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from scfm.errors import SecretUnreadable, StartError

SEALED_PREFIX: Final = "sealed:1:"
_SEALED = re.compile(r"sealed:1:(?P<key>[0-9a-f]{16}):(?P<token>[A-Za-z0-9_=-]+)(?::(?P<shown>.*))?\Z", re.DOTALL)
# Sealed texts whose clear text is remembered: to unseal one takes some 30 µs.
MAX_REMEMBERED_SECRETS = 10_000


def new_key() -> str:
    """A new key: 32 random bytes as 44 characters of URL-safe base64."""
    return Fernet.generate_key().decode()


def fingerprint(key: str) -> str:
    """The first 16 hexadecimal digits of a key's SHA-256: it names the key, and does not give it away."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def is_sealed(text: object) -> bool:
    """Whether this has the form of a sealed text."""
    return isinstance(text, str) and _SEALED.match(text) is not None


def key_of(sealed: str) -> str | None:
    """The fingerprint of the key that a text is sealed with; None for one in the clear."""
    found = _SEALED.match(sealed)
    return found["key"] if found else None


def shown_of(sealed: str) -> str:
    """What anybody may see of a sealed secret; an empty text if that is nothing, and for a text in the clear."""
    found = _SEALED.match(sealed)
    return (found["shown"] or "") if found else ""


class SecretBox:
    """Seals texts with the newest of some keys, and unseals what is sealed with any of them.

    READ_KEYS gives the keys, the newest first. They are read again before a text is sealed, and where a text needs a
    key that is not known: so a key that is added to a file counts in a process that runs. Raises StartError if that
    finds no key, or one that is none; the error says that it is in SOURCE.
    """

    def __init__(self, read_keys: Callable[[], Sequence[str]], source: str) -> None:
        self._read_keys = read_keys
        self._source = source
        self._keys: dict[str, str] = {}
        # The clear text of each sealed one that was asked for, as long as it is among the last.
        self._remembered = lru_cache(MAX_REMEMBERED_SECRETS)(self._decrypt)
        self.read_keys()

    @classmethod
    def of_keys(cls, *keys: str) -> SecretBox:
        """A box with these keys, the newest first. Raises StartError."""
        return cls(lambda: keys, "SCFM_SECRET_KEYS")

    @property
    def primary(self) -> str:
        """The fingerprint of the key that texts are sealed with, the newest."""
        return next(iter(self._keys))

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of all keys, the newest first."""
        return tuple(self._keys)

    def seal(self, text: str, shown: str = "") -> str:
        """TEXT sealed with the newest key, with what may be SHOWN of it in the clear; another text each time.

        Raises StartError if the keys cannot be read.
        """
        self.read_keys()
        sealed = f"{SEALED_PREFIX}{self.primary}:{self._fernet.encrypt(text.encode()).decode()}"
        return f"{sealed}:{shown}" if shown else sealed

    def reseal(self, text: str) -> str:
        """The same secret sealed with the newest key, whether it is sealed or not. Raises as ``seal``, ``unseal``."""
        return self.seal(self.unseal(text), shown_of(text))

    def unseal(self, text: str) -> str:
        """The text that was sealed; a TEXT without the form of a sealed one as it is. Raises SecretUnreadable."""
        return self._remembered(text) if text.startswith(SEALED_PREFIX) and is_sealed(text) else text

    def read_keys(self) -> None:
        """Take the keys as they are now. Raises StartError, and then goes on with those that it has."""
        keys = self._read_keys()
        if not keys:
            raise StartError("there is no secret key: see SCFM_SECRET_KEYS in docs/settings.md")
        for number, key in enumerate(keys, 1):
            if not _is_key(key):
                raise StartError(
                    f"secret key {number} of {len(keys)} in {self._source} is not one: a key is 44 characters "
                    "of URL-safe base64, as `scfm rotate-keys --new` makes them"
                )
        known = {fingerprint(key): key for key in keys}
        if list(known) != list(self._keys):
            self._keys = known
            self._fernet = MultiFernet([Fernet(key) for key in known.values()])

    def _decrypt(self, sealed: str) -> str:
        found = _SEALED.match(sealed)
        assert found is not None
        key = found["key"]
        if key not in self._keys:
            self._read_again()
        if key not in self._keys:
            raise SecretUnreadable(key)
        try:
            return self._fernet.decrypt(found["token"]).decode()
        except InvalidToken:  # the stored text was changed
            raise SecretUnreadable(key, damaged=True) from None

    def _read_again(self) -> None:
        try:
            self.read_keys()
        except StartError as error:
            raise SecretUnreadable("", reason=str(error)) from None


def _is_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True
