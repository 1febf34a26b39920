"""Reads the body of an answer, and no more of it than is allowed."""

from __future__ import annotations

import zlib

import aiohttp


async def read_body(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The body, decompressed. Raises ValueError if it has more than MAX_BYTES, or cannot be decompressed.

    What is left unread is not waited for: aiohttp closes the connection.
    """
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > max_bytes:
            raise ValueError(f"the answer is longer than {max_bytes} bytes")
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return bytes(body)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError(f"the answer has the Content-Encoding {encoding[:20]}, which was not asked for")
    try:
        text = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"the answer is not {encoding}") from error
    if len(text) > max_bytes:
        raise ValueError(f"the answer is longer than {max_bytes} bytes")
    return text
