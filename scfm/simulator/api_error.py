"""Twilio's errors: an HTTP status, a code, a message (https://www.twilio.com/docs/api/errors)."""

from __future__ import annotations

from scfm.errors import ScfmError


class ApiError(ScfmError):
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


def unauthorized() -> ApiError:
    """No credentials, or wrong ones."""
    return ApiError(401, 20003, "Authenticate")


def not_found(path: str) -> ApiError:
    """Nothing is at this path."""
    return ApiError(404, 20404, f"The requested resource {path} was not found")


def not_allowed() -> ApiError:
    """The method is not one of the resource's."""
    return ApiError(405, 20004, "Method not allowed")


def too_many_requests() -> ApiError:
    """The account asks for more than its share."""
    return ApiError(429, 20429, "Too Many Requests")


def internal_error() -> ApiError:
    """Something broke at the carrier."""
    return ApiError(500, 20500, "An internal server error has occurred")


def not_in_progress() -> ApiError:
    """The call's state does not allow what is asked."""
    return ApiError(400, 21220, "Call is not in-progress. Cannot redirect.")
