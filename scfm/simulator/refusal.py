"""Twilio's errors: an HTTP status, a code, a message (https://www.twilio.com/docs/api/errors)."""

from __future__ import annotations

from scfm.errors import ScfmError


class Refusal(ScfmError):
    """A request that Twilio would not take."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def as_json(self) -> dict[str, object]:
        """The body of Twilio's answer."""
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }


def unauthorized() -> Refusal:
    """No credentials, or wrong ones."""
    return Refusal(401, 20003, "Authenticate")


def not_found(path: str) -> Refusal:
    """Nothing is at this path."""
    return Refusal(404, 20404, f"The requested resource {path} was not found")


def not_allowed() -> Refusal:
    """The method is not one of the resource's."""
    return Refusal(405, 20004, "Method not allowed")


def too_many_requests() -> Refusal:
    """The account asks for more than its share."""
    return Refusal(429, 20429, "Too Many Requests")


def internal_error() -> Refusal:
    """Something broke at the carrier."""
    return Refusal(500, 20500, "An internal server error has occurred")


def not_in_progress() -> Refusal:
    """The call's state does not allow what is asked."""
    return Refusal(400, 21220, "Call is not in-progress. Cannot redirect.")
