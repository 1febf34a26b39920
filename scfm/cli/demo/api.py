"""An HTTP client of the server's API that checks each answer, and says what it should have been."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlencode

from scfm.errors import ScfmError

ANSWER_SECONDS = 30.0
MAX_SHOWN_ANSWER = 400


class StepFailed(ScfmError):
    """An answer that is not as it should be: what was expected, and what came."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}, but came {actual}")
        self.expected, self.actual = expected, actual


class ApiAnswer(NamedTuple):
    """One HTTP answer. ``total`` is that of the Total header; ``json`` the body, None if it is empty."""

    status: int
    total: int | None
    json: Any


class Api:
    """The server as its first account sees it, over one connection."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self._connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        self._credentials = "Basic " + base64.b64encode(f"{token}:".encode()).decode()

    def get(self, path: str, *, total: int | None = None, **fields: Any) -> ApiAnswer:
        """What is at PATH. Raises StepFailed unless it is 200, has this TOTAL and these FIELDS."""
        answer = self._request("GET", path, None, 200, fields)
        if total is not None and answer.total != total:
            raise StepFailed(f"Total: {total} from GET {path}", f"Total: {answer.total}")
        return answer

    def post(self, path: str, form: Mapping[str, str] | None = None, **fields: Any) -> None:
        """Create with a form. Raises StepFailed unless it is 201 and has these FIELDS."""
        self._request("POST", path, form or {}, 201, fields)

    def patch(self, path: str, form: Mapping[str, str]) -> None:
        """Update with a form. Raises StepFailed unless it is 204."""
        self._request("PATCH", path, form, 204, {})

    def count(self, path: str) -> int:
        """How many members the list at PATH has. Raises StepFailed."""
        return self.get(path).total or 0

    def close(self) -> None:
        self._connection.close()

    def _request(
        self, method: str, path: str, form: Mapping[str, str] | None, status: int, fields: Mapping[str, Any]
    ) -> ApiAnswer:
        answer = self._exchange(method, path, form)
        body = json.dumps(answer.json)
        shown = body if len(body) <= MAX_SHOWN_ANSWER else body[:MAX_SHOWN_ANSWER] + "..."
        actual = f"{answer.status} {shown}"
        if answer.status != status:
            raise StepFailed(f"{status} from {method} {path}", actual)
        for field, value in fields.items():
            if not isinstance(answer.json, dict) or answer.json.get(field, ...) != value:
                raise StepFailed(f"{field} {json.dumps(value)} from {method} {path}", actual)
        return answer

    def _exchange(self, method: str, path: str, form: Mapping[str, str] | None) -> ApiAnswer:
        headers = {"Authorization": self._credentials}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            self._connection.request(method, path, None if form is None else urlencode(form), headers)
            response = self._connection.getresponse()
            body = response.read()
            total = response.getheader("Total")
            return ApiAnswer(response.status, int(total) if total else None, json.loads(body) if body else None)
        except (OSError, HTTPException, ValueError) as error:
            raise StepFailed(f"an answer to {method} {path}", repr(error)) from None
