"""Which answers of a provider mean that a number is not to be called again: ``invalid_number`` or ``forbidden``.

Sources: Twilio's "Error and Warning Dictionary" (https://www.twilio.com/docs/api/errors), whose codes Somleng and
SignalWire use too, and the SIP response codes of RFC 3261, section 21, RFC 8197 and RFC 8688. What is wrong with the
request or the caller's own number (21205, 21210, 21212) is no refusal of the number that is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Refusal(StrEnum):
    """Why a number is not to be called again, in the words of a participation's ``outcome_reason``."""

    INVALID_NUMBER = "invalid_number"
    FORBIDDEN = "forbidden"


REFUSAL_BY_CODE: Mapping[int, Refusal] = {
    13223: Refusal.INVALID_NUMBER,  # Dial: Invalid phone number format
    13224: Refusal.INVALID_NUMBER,  # Dial: Twilio does not support calling this number or the number is invalid
    13225: Refusal.FORBIDDEN,  # Dial: Forbidden phone number
    13226: Refusal.INVALID_NUMBER,  # Dial: Invalid country code
    13227: Refusal.FORBIDDEN,  # Dial: No International Authorization
    21201: Refusal.INVALID_NUMBER,  # No 'To' number specified
    21202: Refusal.FORBIDDEN,  # 'To' number is a premium number
    21211: Refusal.INVALID_NUMBER,  # Invalid 'To' Phone Number
    21214: Refusal.INVALID_NUMBER,  # 'To' phone number cannot be reached
    21215: Refusal.FORBIDDEN,  # Geo Permission configuration is not permitting call
    21216: Refusal.FORBIDDEN,  # Account not allowed to call phone number
    21217: Refusal.INVALID_NUMBER,  # Phone number does not appear to be valid
    21219: Refusal.FORBIDDEN,  # 'To' phone number not verified (trial accounts)
    21401: Refusal.INVALID_NUMBER,  # Invalid Phone Number
    21421: Refusal.INVALID_NUMBER,  # PhoneNumber is invalid
    21610: Refusal.FORBIDDEN,  # Attempt to send to unsubscribed recipient
    21614: Refusal.INVALID_NUMBER,  # 'To' number is not a valid mobile number
    32205: Refusal.FORBIDDEN,  # SIP: No International Authorization (Geo Permissions)
}

# 603 (Decline) is not among them: whoever declines one call may answer the next.
REFUSAL_BY_SIP_STATUS: Mapping[int, Refusal] = {
    403: Refusal.FORBIDDEN,  # Forbidden
    404: Refusal.INVALID_NUMBER,  # Not Found
    410: Refusal.INVALID_NUMBER,  # Gone
    484: Refusal.INVALID_NUMBER,  # Address Incomplete
    604: Refusal.INVALID_NUMBER,  # Does Not Exist Anywhere
    607: Refusal.FORBIDDEN,  # Unwanted (RFC 8197)
    608: Refusal.FORBIDDEN,  # Rejected (RFC 8688)
}


def refusal_of(error_code: int | None, sip_status: int | None = None) -> Refusal | None:
    """The refusal that an error code, else a SIP response code, stands for; None where neither is one."""
    by_code = REFUSAL_BY_CODE.get(error_code) if error_code is not None else None
    return by_code or (REFUSAL_BY_SIP_STATUS.get(sip_status) if sip_status is not None else None)
