"""The shipped nginx configuration in front of a running dashboard: TLS, headers, the web socket, and what a client claims to be."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest

from dashboard.__main__ import free_port
from tests.dashboard.served import ROOT, answers, served

pytestmark = pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="no nginx and openssl on the PATH")
TLS = ssl.create_default_context()
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of nginx with the shipped file: only ports, certificate and IPv6 are other than a reader has them."""
    folder = tmp_path_factory.mktemp("proxy")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=rightsize.example.com"]
    subprocess.run([*make, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    with served(folder / "served", first_port=18_640) as dashboard:
        plain, tls = free_port(18_660), free_port(18_670)
        text = (ROOT / "docs" / "deploy" / "nginx.conf").read_text()
        for ours, theirs in (
            ("127.0.0.1:8501", dashboard.url.removeprefix("http://")),
            ("listen [::]:80;", ""),
            ("listen [::]:443 ssl;", ""),
            ("listen 80;", f"listen 127.0.0.1:{plain};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{tls} ssl;"),
            ("/etc/ssl/rightsize/fullchain.pem", str(folder / "cert.pem")),
            ("/etc/ssl/rightsize/privkey.pem", str(folder / "key.pem")),
        ):
            assert ours in text
            text = text.replace(ours, theirs)
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (folder / name).mkdir()
        places = "\n".join(f"{kind}_temp_path {folder / kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"{user} pid {folder / 'nginx.pid'}; error_log {folder / 'error.log'}; daemon off; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {folder / 'body'}; {places}\n{text}\n}}\n"
        )
        command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        nginx = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", tls)) == 0:
                        break
                assert nginx.poll() is None, (folder / "error.log").read_text()
                time.sleep(0.05)
            assert answers(f"{dashboard.url}/healthz")
            yield tls
        finally:
            nginx.terminate()
            nginx.wait(30)


def test_the_page_comes_over_tls_with_its_headers(proxied: int) -> None:
    with urllib.request.urlopen(f"https://127.0.0.1:{proxied}/", context=TLS, timeout=30) as answer:
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert b"streamlit" in answer.read().lower()


def test_the_web_socket_of_the_pages_goes_through(proxied: int) -> None:
    lines = [
        "GET /_stcore/stream HTTP/1.1",
        "Host: rightsize.example.com",
        "Origin: https://rightsize.example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: streamlit",
    ]
    with socket.create_connection(("127.0.0.1", proxied), timeout=30) as raw, TLS.wrap_socket(raw) as wire:
        wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert wire.recv(4096).startswith(b"HTTP/1.1 101")
