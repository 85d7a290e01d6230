"""What stands before pages and routes, as pure ASGI: security headers on every answer, and a proxy's word only from a stated proxy."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from collections.abc import Sequence
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facts.settings import settings

POLICY = (
    "default-src 'self'",
    "script-src 'self' blob: 'wasm-unsafe-eval'",  # blob: carries the clickable tree
    "worker-src 'self' blob:",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' data: blob:",
    "frame-ancestors 'self'",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds `HEADERS` to every HTTP answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", content_security_policy())
            await send(message)

        await self.app(scope, receive, with_headers)


class TrustedProxies:
    """Takes away what a request says about its user and its way, unless it comes straight from a stated proxy.

    The header that names the user reaches the page only from `trusted_proxies`, and once. From them the client's address is the last one
    in X-Forwarded-For that is no proxy. A server that rewrites the peer's address before (uvicorn's FORWARDED_ALLOW_IPS) must not:
    `python -m dashboard` turns that off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or web socket."""
        if scope["type"] in ("http", "websocket"):
            environment = settings()
            named = environment.user_header.lower().encode("latin-1")
            peer = (scope.get("client") or ("",))[0]
            if trusted(peer, environment.trusted_proxies):
                users = [value for name, value in scope["headers"] if name.lower() == named]
                if len(users) > 1:  # one from the client and one from the proxy: which is whose cannot be told
                    scope = {**scope, "headers": _without(scope, {named})}
                forwarded = b",".join(value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for")
                scope = {**scope, "client": (client_of(forwarded.decode("latin-1"), peer, environment.trusted_proxies), 0)}
            else:
                scope = {**scope, "headers": _without(scope, {named, b"x-forwarded-for"})}
        await self.app(scope, receive, send)


def trusted(address: str, proxies: Sequence[str]) -> bool:
    """Whether an address is one of the proxies, or in one of their networks."""
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    return any(peer in ip_network(proxy, strict=False) for proxy in proxies)


def client_of(forwarded_for: str, peer: str, proxies: Sequence[str]) -> str:
    """The address of the client: of the chain in X-Forwarded-For the last that is no proxy; the peer where there is none.

    >>> client_of("6.6.6.6, 203.0.113.9, 10.0.0.2", "10.0.0.1", ("10.0.0.0/24",))
    '203.0.113.9'
    """
    for address in reversed([part.strip() for part in forwarded_for.split(",") if part.strip()]):
        if not trusted(address, proxies):
            try:
                return str(ip_address(address))
            except ValueError:
                return peer
    return peer


def _without(scope: Scope, names: set[bytes]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in scope["headers"] if name.lower() not in names]


middleware = [Middleware(TrustedProxies), Middleware(SecurityHeaders)]
"""What `app.py` puts around pages and routes."""


@cache
def content_security_policy() -> str:
    """`POLICY`, with the inline scripts of Streamlit's own page allowed by their hashes, and no other inline script."""
    allowed = " ".join(f"'sha256-{digest}'" for digest in inline_script_hashes(_streamlit_page()))
    return "; ".join(f"{rule} {allowed}".strip() if rule.startswith("script-src") else rule for rule in POLICY)


def inline_script_hashes(html: str) -> list[str]:
    """Base64 SHA-256 of each script that stands in the page itself."""
    scripts = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", html, flags=re.DOTALL)
    return [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]


def _streamlit_page() -> str:
    found = importlib.util.find_spec("streamlit")
    page = Path(found.origin).parent / "static" / "index.html" if found and found.origin else None
    return page.read_text(encoding="utf-8") if page and page.is_file() else ""
