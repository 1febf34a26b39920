"""The log of a command, on stderr."""

from __future__ import annotations

import logging
import sys

from scfm.runtime.log_format import LOG_FORMATTERS
from scfm.runtime.log_writer import ThreadedHandler
from scfm.settings import Settings

# Our own loggers tell what happens; those of the libraries are heard only when something is wrong.
LIBRARIES = ("pymongo", "twilio", "asyncio", "tornado", "aiohttp")


def log_to_stderr(settings: Settings, *, in_thread: bool = False) -> None:
    """Write what is logged from the settings' level on, a line each, to stderr.

    IN_THREAD: a server does not wait for whoever reads it: see ``log_writer``.
    """
    handler: logging.Handler
    if sys.stderr is None:  # it was closed before the start (2>&-), and another file may have its number
        handler = logging.NullHandler()
    else:
        formatter = LOG_FORMATTERS[settings.log_format]()
        handler = ThreadedHandler(sys.stderr.fileno(), formatter) if in_thread else logging.StreamHandler(sys.stderr)
        handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    # What no line shows need not be found out for each (https://docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))
