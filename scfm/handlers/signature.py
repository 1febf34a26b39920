"""Whether a webhook comes from the provider: the ``X-Twilio-Signature`` of Twilio's security guide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hmac import compare_digest

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from scfm.twiml.signature import signature


class _Fields(dict[str, Sequence[str]]):
    """Form fields as the validator reads those with more than one value."""

    getlist = dict.__getitem__


def valid(auth_token: str, url: str, parameters: Mapping[str, Sequence[str]], sent: str) -> bool:
    """Whether ``sent`` is the signature of a form sent to ``url`` by one who has ``auth_token``.

    ``url`` is the public one, with its query; ``parameters`` are the fields of the body, empty ones too;
    ``sent`` is the header, '' if absent. An account without a token trusts nobody. Compares in constant
    time and raises nothing.
    """
    if not auth_token:
        return False
    try:
        # The library looks at every URL with its port and without, and for fields of many values: few need it.
        plain = {name: values[0] for name, values in parameters.items() if len(values) == 1}
        expected = signature(auth_token, url, plain)
        if len(plain) == len(parameters) and compare_digest(expected.encode(), sent.encode()):
            return True
        return bool(RequestValidator(auth_token).validate(url, _Fields(parameters), sent))
    except ValueError:  # no URL, or text that is not Unicode
        return False
