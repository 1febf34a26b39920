"""What no line of the log may have: secrets, phone numbers, and anything that the redaction had to take out.

The redaction is the second line of defence: what it has to take out was given to the log by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from scfm.runtime.redaction import DOT, HIDDEN

# A phone number; ids, times and milliseconds have fewer digits in a row, and a request id is hexadecimal.
_NUMBER = re.compile(r"(?<![0-9a-f-])\+?[0-9]{9,}(?![0-9a-f-])")
_TOKEN = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def assert_no_secrets(lines: Iterable[str], *secrets: str) -> None:
    """Check each line; SECRETS are those that the test has used."""
    assert all(secrets)
    for line in lines:
        assert not any(secret in line for secret in secrets), line
        assert not _NUMBER.search(line), line
        assert not _TOKEN.search(line), line
        assert DOT not in line and HIDDEN not in line, line
