"""Programs of this package that a process of their own runs: what strangers send decides on their time and memory."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import IO, NoReturn

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

# All that a program needs of this process's environment; it must not have our secrets.
ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")
# The status of a program that refuses what it was given, and says why on its standard error.
REFUSED = 3


async def run_program(
    module: str, *arguments: str, stdin: IO[bytes], stdout: IO[bytes], seconds: float
) -> tuple[int, str]:
    """Run a MODULE as a program, which is killed after so many SECONDS; its status, and its standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=stdin,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    )
    try:
        async with asyncio.timeout(seconds):
            _, output = await process.communicate()
    except TimeoutError:
        output = b"it took too long"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode("utf-8", "replace").strip()


def limit_process(*, memory: int, seconds: int, output: int) -> None:
    """Bound this process's MEMORY and OUTPUT, in bytes, and SECONDS of the processor; let the server go first."""
    if resource is None:
        return
    with suppress(OSError):
        os.nice(10)
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: output,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in limits.items():
        with suppress(OSError, ValueError):  # macOS has no limit of memory
            resource.setrlimit(kind, (value, value))


def exit_refused(reason: str, cause: BaseException | None = None) -> NoReturn:
    """End this process with status REFUSED; its standard error begins with REASON, and goes on for the log."""
    print(reason, file=sys.stderr)
    if cause is not None:
        print(f"{type(cause).__name__}: {cause}"[:1000], file=sys.stderr)
    sys.exit(REFUSED)
