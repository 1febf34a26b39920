"""What went wrong with an application's documents, in the log: such a call ends ``completed`` all the same.

Twilio shows these errors in its Debugger: https://www.twilio.com/docs/usage/troubleshooting
"""

from __future__ import annotations

import re

from scfm.runtime.outage import Outage
from scfm.simulator.application_reply import ApplicationError

# The parts of a URL that a log must not have: the query, credentials, and what may be a phone number.
_SECRET = re.compile(r"\?\S*|(?<=//)[^/\s@]*@|\d{7,}")


class Debugger:
    """Tells application errors as one outage, however many calls meet them."""

    def __init__(self) -> None:
        self._outage = Outage(
            "a simulated phone heard an error in place of its call flow",
            "simulated phones hear their call flows again",
        )
        self._closed = False

    def failed(self, error: ApplicationError) -> None:
        """A document could not be had, or not be used."""
        if not self._closed:
            self._outage.failed(f"{error.code}: {_SECRET.sub('', error.message)}")

    def answered(self) -> None:
        """A document was good."""
        self._outage.answered()

    def close(self) -> None:
        """Tell no more: the application, or the carrier, is stopping."""
        self._closed = True
        self._outage.close()
