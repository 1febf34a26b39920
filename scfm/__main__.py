"""The program: ``scfm``, and ``python -m scfm``. What it needs is imported where Ctrl-C and errors are handled."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from scfm.errors import StartError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status: 0, 1 with one line on stderr where it could not go on, 2 for wrong usage."""
    try:
        from scfm import cli  # noqa: PLC0415 (takes half a second, and may find a driver that will not do)

        return cli.run(arguments)
    except StartError as error:
        print(f"scfm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
