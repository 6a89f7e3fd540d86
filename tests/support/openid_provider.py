"""A small OpenID Connect provider: real HTTP, signed ID tokens, PKCE, codes that are valid once. It can misbehave."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT, SECRET = "sightd", "a-secret-of-the-client"
Claims = dict[str, Any]


@dataclass(frozen=True)
class _Grant:
    challenge: str
    nonce: str
    redirect_uri: str


class OpenIdProvider:
    """A context manager. Its attributes may be changed at any time; `claims` are those of the user who logs in."""

    def __init__(self, redirect_uri: str, secret: str | None = SECRET) -> None:
        self.redirect_uri, self.secret = redirect_uri, secret
        self._grants: dict[str, _Grant] = {}
        self.behave()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"provider": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def behave(self) -> None:
        """Behaves correctly from now on."""
        self.claims: Claims = {"sub": "248289761001", "preferred_username": "ada", "groups": ["house-admins"]}
        self.key: ECKey | RSAKey = new_key("first")
        self.asks = False
        """Shows a page with a button before it sends the browser back."""
        self.sign: Callable[[Claims], str] = self.signed
        """Makes an ID token of claims that are correct."""
        self.metadata: dict[str, Any] = {}
        """Replaces parts of the provider's configuration."""
        self.answers: dict[str, bytes | Callable[[Any], None]] = {}
        """Replaces the answer at a path: by a body, or by what is done with the request's handler."""
        self.requests: list[str] = []
        """Method and path of each request."""

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self._server.server_port}"

    def options(self, external_url: str, **others: Any) -> dict[str, Any]:
        """The options `access.oidc` of a client of this provider."""
        return {
            "issuer": self.issuer,
            "client_id": CLIENT,
            "client_secret": self.secret,
            "external_url": external_url,
            "roles": {"house-admins": "admin", "house": "view"},
            **others,
        }

    def signed(self, claims: Claims, key: ECKey | RSAKey | None = None) -> str:
        key = key or self.key
        algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
        return str(jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key))

    def __enter__(self) -> OpenIdProvider:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    def configuration(self) -> Mapping[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            **self.metadata,
        }

    def keys(self) -> Mapping[str, Any]:
        return {"keys": [self.key.as_dict(private=False)]}

    def authorize(self, query: Mapping[str, str]) -> str:
        """Returns where to send the browser. Raises KeyError or ValueError if the request is not one of our client."""
        require(query["client_id"] == CLIENT and query["redirect_uri"] == self.redirect_uri)
        require(query["response_type"] == "code" and "openid" in query["scope"].split())
        require(query["code_challenge_method"] == "S256" and len(query["state"]) >= 32)
        code = secrets.token_urlsafe(16)
        self._grants[code] = _Grant(query["code_challenge"], query["nonce"], query["redirect_uri"])
        return f"{self.redirect_uri}?{urlencode({'code': code, 'state': query['state'], 'iss': self.issuer})}"

    def token(self, form: Mapping[str, str], authorization: str) -> Mapping[str, Any]:
        """Returns the answer of the token endpoint. Raises KeyError or ValueError."""
        self._require_client(form, authorization)
        grant = self._grants.pop(form["code"])
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        require(form["grant_type"] == "authorization_code" and form["redirect_uri"] == grant.redirect_uri)
        require(base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == grant.challenge)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": grant.nonce, **self.claims}
        return {"access_token": "unused", "token_type": "Bearer", "id_token": self.sign(claims)}

    def _require_client(self, form: Mapping[str, str], authorization: str) -> None:
        if self.secret is None:
            require(form["client_id"] == CLIENT and not authorization)
        elif authorization:
            expected = base64.b64encode(f"{CLIENT}:{self.secret}".encode()).decode()
            require(hmac.compare_digest(authorization, f"Basic {expected}"))
        else:
            require(form["client_id"] == CLIENT and form["client_secret"] == self.secret)


def new_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


def require(condition: bool) -> None:
    """Raises ValueError unless it is true."""
    if not condition:
        raise ValueError


class _Handler(BaseHTTPRequestHandler):
    provider: OpenIdProvider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if self._is_replaced(parts.path):
            return
        if parts.path == "/.well-known/openid-configuration":
            self._json(self.provider.configuration())
        elif parts.path == "/keys":
            self._json(self.provider.keys())
        elif parts.path == "/authorize" and self.provider.asks and "asked" not in query:
            self._page(
                f'<a href="/authorize?{urlencode({**query, "asked": "1"}).replace("&", "&amp;")}">Log in as Ada</a>'
            )
        elif parts.path == "/authorize":
            self._redirect(self.provider.authorize(query))
        elif parts.path == "/logout":
            self._redirect(query["post_logout_redirect_uri"])
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        if self._is_replaced(self.path):
            return
        try:
            self._json(self.provider.token(form, self.headers.get("Authorization", "")))
        except (KeyError, ValueError):
            self._json({"error": "invalid_grant", "error_description": "this code is not valid"}, 400)

    def _is_replaced(self, path: str) -> bool:
        self.provider.requests.append(f"{self.command} {path}")
        replaced = self.provider.answers.get(path)
        if isinstance(replaced, bytes):
            self._send(200, "application/json", replaced)
        elif replaced is not None:
            replaced(self)
        return replaced is not None

    def _json(self, content: Mapping[str, Any], status: int = 200) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _page(self, body: str) -> None:
        text = f'<!doctype html><html lang="en"><title>Provider</title><main>{body}</main></html>'
        self._send(200, "text/html", text.encode())

    def _redirect(self, location: str) -> None:
        self.send_response(303)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, media_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
