"""A small OpenID Connect provider at a loopback port: everyone who asks is signed in at once as the account that the test names."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlparse

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "rightsize-tests", "the client's secret of the tests"


@dataclass
class Provider:
    """What it knows and was asked.

    url: its address, which is its issuer
    email: who is signed in next
    asked: the paths that were asked
    """

    url: str = ""
    email: str = "ada@example.com"
    asked: list[str] = field(default_factory=list)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "tests", "use": "sig", "alg": "RS256"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def token(self, asked: dict[str, str]) -> str:
        """An ID token for a code's request."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "sub": self.email, "email": self.email, "name": self.email.partition("@")[0].title()}
        return jwt.encode({"alg": "RS256", "kid": "tests"}, {**claims, "iat": now, "exp": now + 600, "nonce": asked["nonce"]}, self.key)


@contextmanager
def identity_provider() -> Iterator[Provider]:
    """The provider, listening."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, asked = urlparse(self.path).path, {k: v[0] for k, v in parse_qs(urlparse(self.path).query).items()}
            provider.asked.append(path)
            if path == "/.well-known/openid-configuration":
                ends = {name: f"{provider.url}/{name.split('_')[0]}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
                self.answer({"issuer": provider.url, **ends, "id_token_signing_alg_values_supported": ["RS256"]})
            elif path == "/jwks":
                self.answer({"keys": [provider.key.as_dict(private=False)]})
            elif path == "/authorization":
                code = secrets.token_urlsafe(8)
                provider.codes[code] = asked
                self.send_response(302)
                self.send_header("Location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")
                self.end_headers()
            else:
                self.answer({"error": "not found"}, 404)

        def do_POST(self) -> None:
            provider.asked.append(urlparse(self.path).path)
            sent = {k: v[0] for k, v in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
            basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            secret_known = self.headers.get("Authorization") == f"Basic {basic}" or sent.get("client_secret") == CLIENT_SECRET
            asked = provider.codes.pop(sent.get("code", ""), None)
            if not secret_known or asked is None:
                self.answer({"error": "invalid_grant"}, 400)
            else:
                self.answer({"access_token": "an access token", "token_type": "Bearer", "id_token": provider.token(asked)})

        def answer(self, document: dict[str, object], status: int = 200) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
