"""Whether a webhook comes from the provider: the ``X-Twilio-Signature`` of Twilio's security guide."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from functools import cached_property
from urllib.parse import urlparse

from twilio.request_validator import add_port, remove_port  # type: ignore[import-untyped]


class SignedForm:
    """A form as it was sent to ``url``, the public one with its query, and the signature that came with it.

    ``fields`` are those of the body, empty ones too; ``signature`` is the header, '' if absent. A form can be checked
    against many tokens: what was signed is put together once. Nothing here raises.
    """

    def __init__(self, url: str, fields: Mapping[str, Sequence[str]], signature: str) -> None:
        self._url = url
        self._fields = fields
        self._signature = signature.encode("utf-8", "surrogatepass")

    @property
    def is_signed(self) -> bool:
        """Whether there is a signature at all."""
        return bool(self._signature)

    def signed_with(self, auth_token: str) -> bool:
        """Whether one who has the token has signed it; nobody has an empty one. Compares in constant time."""
        if not auth_token or not self._signature:
            return False
        try:
            token = auth_token.encode()
            return self._signs(token, self._text) or any(self._signs(token, text) for text in self._other_texts)
        except ValueError:  # no URL, or text that is not Unicode
            return False

    def _signs(self, token: bytes, text: bytes) -> bool:
        expected = base64.b64encode(hmac.digest(token, text, "sha1"))
        return hmac.compare_digest(expected, self._signature)

    @cached_property
    def _values(self) -> str:
        signed = []
        for name, values in sorted(self._fields.items()):
            signed += [name + value for value in (values if len(values) == 1 else sorted(set(values)))]
        return "".join(signed)

    @cached_property
    def _text(self) -> bytes:
        return (self._url + self._values).encode()

    @cached_property
    def _other_texts(self) -> list[bytes]:
        """Providers differ in whether the port belongs to the URL that they sign."""
        url = urlparse(self._url)
        texts = [(one + self._values).encode() for one in (remove_port(url), add_port(url))]
        return [text for text in texts if text != self._text]
