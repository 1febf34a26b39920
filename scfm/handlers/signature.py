"""Whether a webhook comes from the provider: the ``X-Twilio-Signature`` of Twilio's security guide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hmac import compare_digest

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]


class _Fields(dict[str, Sequence[str]]):
    """Form fields as the validator reads those with more than one value."""

    getlist = dict.__getitem__


def valid(auth_token: str, url: str, parameters: Mapping[str, Sequence[str]], signature: str) -> bool:
    """Whether ``signature`` is that of a form sent to ``url`` by one who has ``auth_token``.

    ``url`` is the public one, with its query; ``parameters`` are the fields of the body, empty ones too;
    ``signature`` is the header, '' if absent. An account without a token trusts nobody. Compares in constant
    time and raises nothing.
    """
    if not auth_token:
        return False
    try:
        validator, fields = RequestValidator(auth_token), _Fields(parameters)
        # The library looks at every URL with its port and without, always; most are signed as they are.
        expected = validator.compute_signature(url, fields)
        return compare_digest(expected.encode(), signature.encode()) or bool(
            validator.validate(url, fields, signature)
        )
    except ValueError:  # no URL, or text that is not Unicode
        return False
