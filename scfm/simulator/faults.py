"""The fault plan: which requests and callbacks go wrong, and how. It depends on the seed alone."""

from __future__ import annotations

from dataclasses import dataclass, fields

from scfm.errors import StartError
from scfm.simulator.chance import fraction

OF_REQUESTS = ("drop_before", "throttle", "drop_after", "error_after", "timeout", "slow", "malformed")
OF_CALLBACKS = ("callback_lost", "callback_doubled", "callback_shuffled")


@dataclass(frozen=True, slots=True)
class Faults:
    """The share (0 to 1) of create requests and of status callbacks that meet each fault; at most one each.

    Requests: ``drop_before`` closes the connection, ``throttle`` answers 429; neither takes the call. The
    others take it, and then close the connection (``drop_after``), answer 500 (``error_after``), answer nothing
    for ``timeout_seconds`` (``timeout``), answer after ``slow_seconds`` (``slow``), or answer 201 with half a
    body (``malformed``). ``callback_early`` holds the answer until the call's first webhook was delivered.
    Callbacks: lost, sent twice (``doubled``), or sent after the next one (``shuffled``).
    """

    drop_before: float = 0.0
    throttle: float = 0.0
    drop_after: float = 0.0
    error_after: float = 0.0
    timeout: float = 0.0
    slow: float = 0.0
    malformed: float = 0.0
    callback_lost: float = 0.0
    callback_doubled: float = 0.0
    callback_shuffled: float = 0.0
    callback_early: float = 0.0
    timeout_seconds: float = 30.0
    slow_seconds: float = 0.5
    retry_after: float = 1.0

    def __post_init__(self) -> None:
        for names in (OF_REQUESTS, OF_CALLBACKS, ("callback_early",)):
            shares = [getattr(self, name) for name in names]
            if not (all(share >= 0 for share in shares) and sum(shares) <= 1):
                raise StartError(f"faults: {', '.join(names)} must each be 0 or more, and together at most 1")

    @classmethod
    def parse(cls, text: str) -> Faults:
        """The plan in ``drop_before=0.02,throttle=0.05``; an empty text is no faults. Raises StartError."""
        known = {field.name for field in fields(cls)}
        plan: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (word.strip() for word in part.partition("="))
            if name not in known:
                raise StartError(f"faults: {name} is unknown; there are {', '.join(sorted(known))}")
            try:
                plan[name] = float(value)
            except ValueError:
                raise StartError(f"faults: {name} must be a number, not {value!r}") from None
        return cls(**plan)

    def of_request(self, seed: int, request: int) -> str | None:
        """The fault that the create request of this number meets, if any."""
        return self._drawn(OF_REQUESTS, fraction(seed, "request", request))

    def of_callback(self, seed: int, request: int, sequence: int) -> str | None:
        """The fault that a callback meets: the ``sequence``-th of the call that the request made."""
        return self._drawn(OF_CALLBACKS, fraction(seed, "callback", request, sequence))

    def comes_early(self, seed: int, request: int) -> bool:
        """Whether the first webhook of the request's call comes before the answer to the request."""
        return self.callback_early > 0 and fraction(seed, "early", request) < self.callback_early

    def _drawn(self, names: tuple[str, ...], drawn: float) -> str | None:
        for name in names:
            drawn -= getattr(self, name)
            if drawn < 0:
                return name
        return None
