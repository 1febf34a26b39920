"""A program behind nginx that is asked in place of a server of scfm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Backend:
    """One that answers for a server of scfm. What it was asked is kept; ``dies`` breaks each request off."""

    def __init__(self, *, dies: bool) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                backend.requests.append((self.command, self.path, headers, body))
                if dies:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @contextmanager
    def running(self) -> Iterator[int]:
        """Its port, until the end of the context."""
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        try:
            yield self.server.server_address[1]
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()
