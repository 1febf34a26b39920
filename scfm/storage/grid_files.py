"""Files in MongoDB, as GridFS keeps them: https://github.com/mongodb/specifications/tree/master/source/gridfs.

Written here and not by the driver's bucket, so that each chunk names its account, by which everything can be sharded
(docs/decisions/0012), and no more than one chunk is in memory.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import IO

from scfm.clock import now
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

FILES, CHUNKS = "audio.files", "audio.chunks"
# GridFS's own default.
CHUNK_BYTES = 255 * 1024
GRID_INDEXES: dict[str, list[Index]] = {
    CHUNKS: [Index("account_id", "files_id", "n", name="unique_account_id_files_id_n", unique=True)],
}


def new_file_id() -> str:
    """An id for a file that is to be written."""
    return secrets.token_hex(12)


async def write_file(view: TenantView, file_id: str, filename: str, source: IO[bytes]) -> int:
    """Store what SOURCE has from its beginning under FILE_ID, chunk by chunk; its bytes."""
    source.seek(0)
    size = number = 0
    while data := await asyncio.to_thread(source.read, CHUNK_BYTES):
        chunk: Document = {"_id": f"{file_id}-{number}", "files_id": file_id, "n": number, "data": data}
        await view.insert(CHUNKS, chunk)
        size, number = size + len(data), number + 1
    whole: Document = {"_id": file_id, "length": size, "chunkSize": CHUNK_BYTES, "filename": filename}
    await view.insert(FILES, {**whole, "uploadDate": now()})
    return size


async def read_chunk(view: TenantView, file_id: str, number: int) -> bytes | None:
    """A chunk of a file, from 0; None if the file has been removed."""
    chunk = await view.find_one(CHUNKS, {"files_id": file_id, "n": number})
    return None if chunk is None else chunk["data"]


async def remove_files(view: TenantView, file_ids: list[str]) -> None:
    """Remove files, whole or in part."""
    await view.remove(FILES, {"_id": {"$in": file_ids}})
    await view.remove(CHUNKS, {"files_id": {"$in": file_ids}})
