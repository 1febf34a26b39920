"""What ends the demo early."""

from __future__ import annotations

from scfm.errors import ScfmError


class StepFailed(ScfmError):
    """Something that is not as it should be: what was expected, and what came."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}, but came {actual}")
        self.expected, self.actual = expected, actual
