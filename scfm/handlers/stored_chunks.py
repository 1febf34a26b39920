"""The parts of stored files that were sent last: the calls of a callout have theirs fetched at the same time."""

from __future__ import annotations

from scfm.storage.grid_files import read_chunk
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache

# Half an hour of speech, which takes a byte a sample.
CACHE_SECONDS, MAX_CACHED_BYTES = 60.0, 8 << 20

ChunkKey = tuple[int, str, int]
"""The id of an account, that of a file of its, and the number of a chunk."""


class StoredChunks(TTLCache[ChunkKey, bytes | None]):
    """Chunks of files, MAX_CACHED_BYTES of them; no file is stored under an id that another had."""

    def __init__(self, store: Store) -> None:
        super().__init__(
            lambda key: read_chunk(store.for_account(key[0]), *key[1:]),
            CACHE_SECONDS,
            weigh=lambda chunk: len(chunk or b""),
            max_bytes=MAX_CACHED_BYTES,
        )
