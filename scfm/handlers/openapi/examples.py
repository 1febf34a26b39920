"""Requests and answers of a real server, for the operations of the document (``make examples`` records them)."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, TypedDict

from scfm.handlers.parameters import JSON

JsonObject = dict[str, Any]


class RecordedExample(TypedDict, total=False):
    """A request: its body, if it was JSON; and the status, the media type and the body of its answer."""

    request: Any
    status: str
    type: str
    answer: Any


class Examples(TypedDict):
    """Examples by the ``operationId``, and answers of errors by the name of the response."""

    operations: dict[str, RecordedExample]
    errors: dict[str, Any]


@cache
def examples() -> Examples:
    """What was recorded."""
    recorded: Examples = json.loads(files(__package__).joinpath("examples.json").read_bytes())
    return recorded


def with_examples(operation: JsonObject) -> JsonObject:
    """The operation, with the request and the answer that were recorded of it."""
    example = examples()["operations"].get(operation["operationId"], {})
    found = dict(operation)
    body = operation.get("requestBody")
    if body and "request" in example:
        found["requestBody"] = _with_example(body, JSON, example["request"])
    if "answer" in example:
        status = example["status"]
        answer = _with_example(operation["responses"][status], example["type"], example["answer"])
        found["responses"] = {**operation["responses"], status: answer}
    return found


def responses_with_examples(responses: JsonObject) -> JsonObject:
    """The shared responses, by their names, with the answers that were recorded of them."""
    recorded = examples()["errors"]
    return {
        name: _with_example(response, JSON, recorded[name]) if name in recorded else response
        for name, response in responses.items()
    }


def _with_example(described: JsonObject, kind: str, example: Any) -> JsonObject:
    """A body with the EXAMPLE in its media type KIND."""
    content = described["content"]
    return {**described, "content": {**content, kind: {**content[kind], "example": example}}}
