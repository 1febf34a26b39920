"""Files from the database, sent in whole or in part (RFC 9110, section 14), a chunk at a time."""

from __future__ import annotations

import re
from typing import Any, cast

from tornado.iostream import StreamClosedError

from scfm.handlers.base import BaseHandler
from scfm.models.audio_content import StoredFile
from scfm.storage.grid_files import CHUNK_BYTES

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\Z", re.ASCII)


class StoredFileHandler(BaseHandler):
    """A handler that answers with a stored file."""

    async def send(self, account_id: int, file: StoredFile, content_type: str, etag: str) -> None:
        """Answer with the file, or the range of it that the client asks for; ETAG is a strong one."""
        size = file["bytes"]
        self.etag = f'"{etag}"'
        self.set_etag_header()
        self.set_header("Accept-Ranges", "bytes")
        if self.check_etag_header():
            self.clear_header("Content-Type")
            self.set_status(304)
            return
        begin, end = self._wanted(size)
        if begin >= end:
            self.clear_header("Content-Type")
            self.set_header("Content-Range", f"bytes */{size}")
            self.set_header("Cache-Control", "no-cache")
            self.set_status(416)
            return
        self.set_header("Content-Type", content_type)
        self.set_header("Content-Length", end - begin)
        self.set_header("X-Runtime", f"{self.request.request_time():.6f}")
        if (begin, end) != (0, size):
            self.set_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
            self.set_status(206)
        if self.request.method != "HEAD":
            await self._send_bytes(account_id, file["id"], begin, end)

    def _wanted(self, size: int) -> tuple[int, int]:
        """From which byte up to which the client wants the file; an empty range cannot be given."""
        condition = self.request.headers.get("If-Range")
        found = _RANGE.match(self.request.headers.get("Range", ""))
        if found is None or (condition is not None and condition != self.etag):
            return 0, size
        first, last, suffix = found.groups()
        if suffix is not None:
            return max(size - int(suffix), 0), size if int(suffix) else 0
        begin, end = int(first), int(last) + 1 if last else size
        if last and end <= begin:  # it is no range, and is left out
            return 0, size
        return begin, min(end, size)

    async def _send_bytes(self, account_id: int, file_id: str, begin: int, end: int) -> None:
        stream = cast(Any, self.request.connection).stream
        for number in range(begin // CHUNK_BYTES, -(-end // CHUNK_BYTES)):
            chunk = await self.app.stored_chunks.get((account_id, file_id, number))
            if chunk is None:  # it has just been deleted: half a file must not look like a whole one
                stream.abort()
                return
            first = number * CHUNK_BYTES
            whole = begin <= first and first + len(chunk) <= end
            self.write(chunk if whole else chunk[max(begin - first, 0) : end - first])
            try:
                await self.flush()
            except StreamClosedError:  # the client has gone
                return
