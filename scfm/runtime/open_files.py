"""The limit of open files: each connection of a client, to a provider and to the database is one."""

from __future__ import annotations

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

from scfm.errors import StartError

# Any system allows so many where it allows a higher limit at all, and no process can serve more connections.
WANTED = 10_240
# To start, and to answer some dozens of clients.
MIN_FOR_SERVER = 256
# For a server's logs, journals, pipes, and answers that are put into files.
OWN_FILES = 100
# What MongoDB's driver opens at the most.
DATABASE_CONNECTIONS = 100


def raise_limit() -> None:
    """Ask the system for WANTED open files, or as many as it lets us have. Child processes inherit it.

    Shells and service managers give a process a thousand, for the sake of programs that use select(2), and let it ask
    for more (getrlimit(2)). Beyond the limit the webhooks of a callout would not be accepted.
    """
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit() -> int:
    """How many files this process may have open, WANTED at the most."""
    if resource is None:
        return WANTED
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == resource.RLIM_INFINITY else min(soft, WANTED)


def check_limit() -> None:
    """Raise StartError where the system allows fewer open files than a server and its MongoDB need."""
    if limit() < MIN_FOR_SERVER:
        raise StartError(
            f"this process may open {limit()} files, and a server needs {MIN_FOR_SERVER}, better {WANTED}: "
            "raise the limit (ulimit -n in a shell, LimitNOFILE= of systemd, --ulimit nofile= of docker)"
        )


def client_connections(provider_connections: int) -> int:
    """How many connections of clients may be open, beside those to the database and PROVIDER_CONNECTIONS.

    Clients get half of the limit at least.
    """
    files = limit()
    return max(files - OWN_FILES - DATABASE_CONNECTIONS - provider_connections, files // 2)
