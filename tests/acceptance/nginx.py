"""nginx with the files of deploy/nginx, on ports of the loopback and with a certificate that is made for the test."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.server import wait_until
from tests.torture.databases import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = DEPLOY / "nginx"
BINARY = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
# Another server's site, for the files that stand below a path.
SITE = """
server {
    listen 443 ssl http2;
    server_name alerts.example.org;
    ssl_certificate /etc/nginx/tls/fullchain.pem;
    ssl_certificate_key /etc/nginx/tls/privkey.pem;
%s
}
"""


class Nginx:
    """One nginx: where it is, and the file by which its certificate is trusted."""

    def __init__(self, folder: Path, upstream: str, site: str, main: str | None = None) -> None:
        """In FOLDER; UPSTREAM and SITE are the contents of its two files in conf.d.

        MAIN is that of nginx.conf; without it, the container's.
        """
        self.folder = folder
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self.certificate = folder / "tls" / "fullchain.pem"
        _make_certificate(folder / "tls")
        (folder / "conf.d").mkdir()
        (folder / "nginx.conf").write_text(self._placed(main or (FILES / "nginx.conf").read_text()))
        (folder / "scfm-proxy.inc").write_text(self._placed((FILES / "scfm-proxy.inc").read_text()))
        # The first by name, as the other needs its format of the log.
        (folder / "conf.d" / "00-scfm-upstream.conf").write_text(upstream)
        (folder / "conf.d" / "scfm.conf").write_text(self._placed(site))
        (folder / "mime.types").write_text("types { text/html html; }\n")
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (folder / name).mkdir()

    def command(self, *options: str) -> list[str]:
        """nginx with these files, and OPTIONS."""
        assert BINARY is not None
        root = " user root;" if os.geteuid() == 0 else ""  # its workers must reach a folder that is root's alone
        settings = ["-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-g", f"daemon off;{root}"]
        return [BINARY, *settings, *options]

    def check(self) -> str:
        """What ``nginx -t`` has to say; AssertionError if that is an error."""
        checked = subprocess.run(self.command("-t"), capture_output=True, text=True, timeout=60, check=False)
        assert checked.returncode == 0, checked.stderr
        return checked.stderr

    def connection(self, seconds: float = 30) -> HTTPSConnection:
        """A connection of somebody who trusts the certificate."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        return HTTPSConnection("localhost", self.port, timeout=seconds, context=trust)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it until the end of the context."""
        process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL)
        try:
            wait_until(self._listens, 60)
            yield
        finally:
            process.terminate()
            process.wait(60)

    def _listens(self) -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", self.port)) == 0

    def _placed(self, text: str) -> str:
        """A file of deploy/nginx for this machine: its ports, its folders, its name."""
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{name};"
            for kind, name in (
                ("client_body", "body"),
                *((one, one) for one in ("proxy", "fastcgi", "uwsgi", "scgi")),
            )
        )
        for found, replaced in (
            ("listen [::]:80;", ""),
            ("listen [::]:443 ssl http2;", ""),
            ("listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.port} ssl http2;"),
            ("alerts.example.org", "localhost"),
            ("/etc/nginx/tls", str(self.folder / "tls")),
            ("/run/nginx.pid", str(self.folder / "nginx.pid")),
            ("/var/log/nginx", str(self.folder)),
            ("/dev/stdout", str(self.folder / "access.log")),
            ("error_log stderr", f"error_log {self.folder}/error.log"),
            ("server_tokens off;", f"server_tokens off;{temporary}"),
        ):
            text = text.replace(found, replaced)
        return text


def upstream_of(ports: Sequence[int]) -> str:
    """deploy/nginx/upstream.conf with two other ports."""
    text = (FILES / "upstream.conf").read_text()
    for told, port in zip(("127.0.0.1:3000", "127.0.0.1:3001"), ports, strict=True):
        assert told in text
        text = text.replace(told, f"127.0.0.1:{port}")
    return text


def own_site() -> str:
    """deploy/nginx/scfm.conf."""
    return (FILES / "scfm.conf").read_text()


def site_below_a_path() -> str:
    """A site that has deploy/nginx/scfm-below-a-path.conf."""
    return SITE % (FILES / "scfm-below-a-path.conf").read_text()


def _make_certificate(folder: Path) -> None:
    """A key, and a certificate for localhost that it has signed itself."""
    folder.mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "privkey.pem").write_bytes(private)
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
