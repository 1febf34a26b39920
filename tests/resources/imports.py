"""Imports of contacts over HTTP, and what became of them."""

from __future__ import annotations

import unicodedata
from typing import Any

from tests.server import Answer, Client

CSV = "text/csv"
JSON_LINES = "application/x-ndjson"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
NFD = unicodedata.normalize("NFD", "Côte d'Ivoire")
NFC = unicodedata.normalize("NFC", NFD)


def send(api: Client, content: str | bytes, kind: str = CSV, query: str = "") -> Answer:
    """The answer to an import of a file of the media type KIND."""
    body = content.encode() if isinstance(content, str) else content
    return api.post("/api/contacts/import" + query, body=body, headers={"Content-Type": kind})


def contacts(api: Client) -> dict[str, Any]:
    """The metadata of every contact, by number."""
    return {contact["msisdn"]: contact["metadata"] for contact in api.get("/api/contacts?per_page=1000").json}


def counts(answer: Answer) -> list[int]:
    """Created, updated, unchanged, failed."""
    assert answer.status == 200, answer
    return list(answer.json.values())[:4]


def refused(api: Client, answer: Answer) -> Any:
    """The errors of an import that was refused as a whole; nothing of it is stored."""
    assert answer.status == 422, answer
    assert contacts(api) == {}
    return answer.json["errors"]
