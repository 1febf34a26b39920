"""What a client takes, by the headers of weighed values: Accept-Encoding and Accept-Language."""

from __future__ import annotations


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110, section 12.5.3)."""
    weights = _weights(accept_encoding)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def best_language(accept_language: str, languages: tuple[str, ...]) -> str:
    """The one of LANGUAGES that an Accept-Language header likes best; the first where it names none of them."""
    weights: dict[str, float] = {}
    for spoken, weight in _weights(accept_language).items():
        language = spoken.partition("-")[0]
        weights[language] = max(weight, weights.get(language, 0.0))
    best = max(languages, key=lambda language: weights.get(language, 0.0))
    return best if weights.get(best, 0.0) > 0 else languages[0]


def _weights(header: str) -> dict[str, float]:
    """What a header of weighed values (RFC 9110, section 12.4.2) names, in lower case; a malformed weight is 0."""
    weights = {}
    for item in header.lower().split(","):
        name, _, parameters = item.partition(";")
        quality = parameters.strip().removeprefix("q=")
        try:
            weights[name.strip()] = min(max(float(quality), 0.0), 1.0) if parameters else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    return weights
