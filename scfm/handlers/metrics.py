"""``GET /metrics``: what Prometheus reads: see docs/metrics.md.

It shows no secrets and nobody's data, but how busy an organisation is, and when: so it is not for everybody.
"""

from __future__ import annotations

import asyncio
import hmac
import shutil
from ipaddress import ip_address
from typing import cast

from prometheus_client.exposition import choose_encoder
from tornado.httputil import HTTPServerRequest

from scfm.errors import Forbidden, Unauthorized
from scfm.handlers.application import WebApplication
from scfm.handlers.authentication import token_in
from scfm.handlers.base import BaseHandler
from scfm.handlers.remote_address import is_named_by_a_stranger, remote_address
from scfm.runtime import metrics
from scfm.setting_values import networks
from scfm.settings import Settings

NOT_FROM_HERE = "metrics are for METRICS_ALLOWED_NETWORKS, or for who has the METRICS_TOKEN: see docs/metrics.md"


class MetricsHandler(BaseHandler):
    """The text format of Prometheus, or OpenMetrics for who accepts it.

    With METRICS_TOKEN it is for those who send it; without, for METRICS_ALLOWED_NETWORKS.
    """

    counts_for_address = False

    async def admit(self) -> None:
        check_reader(self.request, self.app.settings)

    async def get(self) -> None:
        reasons, _ = await asyncio.gather(self.app.readiness.reasons(), self.app.queue_figures.refresh())
        metrics.PROCESS_READY.set(not reasons)
        disk = shutil.disk_usage(self.app.settings.data_dir)
        metrics.DATA_FREE_BYTES.set(disk.free)
        metrics.DATA_SIZE_BYTES.set(disk.total)
        cast(WebApplication, self.application).request_log.tell()
        encode, content_type = choose_encoder(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.write(encode(metrics.REGISTRY))

    head = get


def check_reader(request: HTTPServerRequest, settings: Settings) -> None:
    """Raise Unauthorized without the METRICS_TOKEN; where none is set, Forbidden unless the client's address is near.

    Behind a proxy that is not trusted nobody knows that address.
    """
    if settings.metrics_token:
        sent = token_in(request.headers.get("Authorization", "")) or ""
        if not hmac.compare_digest(sent.encode(), settings.metrics_token.encode()):
            raise Unauthorized
        return
    address = ip_address(remote_address(request, settings.trusted_proxies))
    near = any(address in network for network in networks(settings.metrics_allowed_networks))
    if not near or is_named_by_a_stranger(request, settings.trusted_proxies):
        raise Forbidden(NOT_FROM_HERE)
