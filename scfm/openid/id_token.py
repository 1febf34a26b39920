"""ID tokens: what an issuer says of somebody who has signed in there (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from scfm.errors import SignInRefused

# Signatures that the issuer alone can make: with its secret, which it shares with us, so could we (RFC 8725, 2.1).
ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
)
DEFAULT_ALGORITHM = "RS256"
# Seconds by which the clocks of the issuer and of this machine may differ.
LEEWAY_SECONDS = 60


class UnknownKey(SignInRefused):
    """The token is signed with a key that is not among the issuer's, as they were read."""


def algorithms_of(metadata: Mapping[str, Any]) -> list[str]:
    """The algorithms with which the issuer may sign; raises SignInRefused where there is none that will do."""
    named = metadata.get("id_token_signing_alg_values_supported") or [DEFAULT_ALGORITHM]
    usable = [one for one in named if isinstance(one, str) and one in ALGORITHMS] if isinstance(named, list) else []
    if not usable:
        raise SignInRefused("the issuer signs with no algorithm that will do")
    return usable


def verified_email(
    token: object, keys: Mapping[str, Any], algorithms: Sequence[str], *, issuer: str, client_id: str, nonce: str
) -> str:
    """The e-mail address that an ID token tells, and that its issuer has verified.

    KEYS is the issuer's JWK set. The signature and ``iss``, ``aud``, ``azp``, ``exp``, ``iat``, ``nbf`` and ``nonce``
    are checked; raises UnknownKey, SignInRefused.
    """
    if not isinstance(token, str):
        raise SignInRefused("the issuer gave no id_token")
    expected: Any = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": client_id},
        "exp": {"essential": True},
        "nonce": {"essential": True, "value": nonce},
    }
    try:
        registry = JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        decoded = jwt.decode(token, KeySet.import_key_set(dict(keys)), registry=registry)  # type: ignore[arg-type]
        claims = CodeIDToken(decoded.claims, decoded.header, expected, {"nonce": nonce, "client_id": client_id})
        claims.validate(leeway=LEEWAY_SECONDS)
    except InvalidKeyIdError:
        raise UnknownKey("the id_token is signed with an unknown key") from None
    except (JoseError, ValueError, TypeError, KeyError) as error:  # the latter of claims of other types
        raise SignInRefused(f"the id_token is not good: {type(error).__name__}: {error}") from None
    email = claims.get("email")
    if not isinstance(email, str) or not email.strip():
        raise SignInRefused("the id_token has no email: the client needs the scope email")
    if claims.get("email_verified") not in (True, "true"):  # a text with some issuers
        raise SignInRefused("the issuer has not verified the email")
    return email
