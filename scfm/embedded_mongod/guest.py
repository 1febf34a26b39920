"""A command that uses the mongod of a server that runs: ``scfm create-account`` beside ``scfm serve``."""

from __future__ import annotations

from typing import Self

from scfm.embedded_mongod.data_folder import DataFolder
from scfm.embedded_mongod.sockets import connection_uri, is_listening
from scfm.runtime.file_lock import FileLock


class AttachedMongod:
    """The mongod of another process, which waits a little for us before it ends it."""

    def __init__(self, uri: str, lock: FileLock) -> None:
        self.uri = uri
        self._lock = lock

    @classmethod
    def attach(cls, folder: DataFolder) -> AttachedMongod | None:
        """A guest of the folder's owner, or None where the owner is starting, stopping or gone. Raises StartError."""
        lock = folder.visit()
        if lock is None:
            return None
        address = folder.owners_socket()
        if address is None or not is_listening(address):
            lock.release()
            return None
        return cls(connection_uri(address), lock)

    def stop(self) -> None:
        """Leave; mongod goes on. Again: does nothing."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
