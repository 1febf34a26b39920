"""What is seen of one call from outside: its traces, where a collector is named, and its metrics."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.errors import StartError
from scfm.runtime import telemetry
from tests.resources.test_metrics import scrape
from tests.server import Server, wait_until

MSISDN = "+252662345678"
ENDED = ("completed", "canceled", "failed", "busy", "not_answered")


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """A collector of OpenTelemetry: where it is, and the spans that it gets."""
    traces = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = traces.ExportTraceServiceRequest.FromString(body)
            spans.extend(span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", spans
        finally:
            server.shutdown()
            thread.join()


def test_a_call_is_seen_in_traces_from_its_request_to_the_provider_and_counted(
    mongod: PrivateMongod, tmp_path: Path
) -> None:
    with collector() as (url, spans):
        environment = {
            "MONGODB_URI": mongod.uri,
            "MONGODB_DATABASE": "telemetry",
            "PLATFORM_PROVIDER": "simulator",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        with Server(tmp_path / "data", environment) as server:
            api = server.client()
            assert api.post("/api/contacts", {"msisdn": MSISDN}).status == 201
            contact = api.get("/api/contacts").json[0]["id"]
            callout = api.post("/api/callouts").json["id"]
            joined = api.post(f"/api/callouts/{callout}/callout_participations", {"contact_id": str(contact)}).json[
                "id"
            ]
            path = f"/api/callout_participations/{joined}/phone_calls"
            params = {"from": "1234", "url": f"{server.url}/api/remote_phone_call_events"}
            call = api.post(path, json={"remote_request_params": params}).json["id"]
            assert api.post(f"/api/phone_calls/{call}/phone_call_events", {"event": "queue"}).status == 201
            wait_until(lambda: {"send calls", "POST Calls at simulator"} <= {span.name for span in spans})
            wait_until(lambda: [span for span in spans if span.name == "POST /api/contacts"])
            assert scrape(server)["scfm_calls_placed_total{provider=simulator}"] == 1
            before = scrape(server)["scfm_webhook_last_received_timestamp_seconds{}"]
            assert api.post(f"/api/phone_calls/{call}/phone_call_events", {"event": "cancel"}).status == 201
            wait_until(lambda: api.get(f"/api/phone_calls/{call}").json["status"] in ENDED)
            outcome = api.get(f"/api/phone_calls/{call}").json["status"]
            name = f"scfm_calls_total{{outcome={outcome},provider=simulator}}"
            assert wait_until(lambda: scrape(server).get(name)) == 1  # what was read a moment ago is not read again
            seen = scrape(server)
            assert seen["scfm_webhook_last_received_timestamp_seconds{}"] >= before
            assert sum(value for one, value in seen.items() if one.startswith("scfm_calls_total{")) == 1
            assert seen["scfm_provider_request_duration_seconds_count{provider=simulator,result=ok}"] >= 1
        request = next(span for span in spans if span.name == "POST /api/contacts")
        assert attributes(request) == {
            "http.request.method": "POST",
            "http.route": "/api/contacts",
            "http.response.status_code": 201,
        }
        commands = {span.name for span in spans if span.parent_span_id == request.span_id}
        assert "insert contacts" in commands
        sent = next(span for span in spans if span.name == "POST Calls at simulator")
        assert attributes(sent) == {"scfm.provider": "simulator", "scfm.result": "ok"}
        assert next(span for span in spans if span.span_id == sent.parent_span_id).name == "send calls"
        assert not [span for span in spans if MSISDN[1:] in str(span) or server.token in str(span)]


def attributes(span: Any) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_server_that_is_told_no_collector_does_not_load_it() -> None:
    loaded = "import sys, scfm.server; print([name for name in sys.modules if 'opentelemetry' in name])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_missing_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "scfm.runtime.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(StartError, match=r"OpenTelemetry is not installed .*: pip install 'scfm\[telemetry\]'"):
        telemetry.start({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    assert telemetry.spans() is None
    telemetry.start({})
    assert telemetry.spans() is None
