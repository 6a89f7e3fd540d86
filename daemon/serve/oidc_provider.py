"""An OpenID Connect provider: its configuration, its keys, and the exchange of a code for an ID token that is checked.

OpenID Connect Core 1.0, 3.1 (authorization code), with PKCE (RFC 7636). Needs the packages of the extra `oidc`."""

from __future__ import annotations

import functools
import http.client
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from sightd.daemon.common.deadline_http import DeadlineConnection
from sightd.daemon.config.login import OidcLogin
from sightd.daemon.config.section import is_loopback
from sightd.daemon.serve.oidc_login import Identified, ProviderError, UnreachableProviderError

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds for one request, including its answer."""
MOST_BYTES = 256 * 1024
"""Bytes of an answer."""
FRESH = 3600.0
"""Seconds for which the provider's configuration and keys are used. A key that is not known is looked for at once."""
_RETRY_AFTER = 5.0
"""Seconds after a failure until the provider's configuration is asked for again."""
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signatures by a key pair only: with HMAC, anyone who knows a public key could sign, and "none" is none."""
CALLBACK = "api/v1/login/oidc/callback"


@dataclass(frozen=True, slots=True)
class _Known:
    """The provider's configuration (OpenID Connect Discovery 1.0) and keys, until `until` (monotonic s)."""

    metadata: Mapping[str, Any]
    keys: KeySet
    until: float


class OidcProvider:
    """A `Provider`. Each method blocks for up to TIMEOUT per request to the provider."""

    def __init__(self, options: OidcLogin, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns seconds since the epoch."""
        self._options, self._clock = options, clock
        self._base = options.external_url.rstrip("/") + "/"
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._failed: tuple[UnreachableProviderError, float] | None = None

    def authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        endpoint = self._current().metadata["authorization_endpoint"]
        url, _state = self._client().create_authorization_url(
            endpoint, state=state, nonce=nonce, code_verifier=verifier
        )
        return str(url)

    def identify(self, code: str, verifier: str, nonce: str, issuer: str | None) -> Identified:
        metadata = self._current().metadata
        named = issuer is not None or metadata.get("authorization_response_iss_parameter_supported") is True
        if named and issuer != metadata["issuer"]:
            raise ProviderError("the code comes from another issuer")
        try:
            answer = self._client().fetch_token(
                metadata["token_endpoint"], grant_type="authorization_code", code=code, code_verifier=verifier
            )
        except (AuthlibBaseError, ValueError) as error:
            raise ProviderError(f"the code was not accepted: {error}") from error
        id_token = answer.get("id_token")
        if not isinstance(id_token, str):
            raise ProviderError("the answer contains no ID token")
        return Identified(self._verified(id_token, nonce, answer.get("access_token")), id_token)

    def end_session_url(self, id_token: str) -> str | None:
        known = self._known
        endpoint = None if known is None else known.metadata.get("end_session_endpoint")
        if not isinstance(endpoint, str) or not _is_confidential(endpoint):
            return None
        query = {
            "id_token_hint": id_token,
            "client_id": self._options.client_id,
            "post_logout_redirect_uri": self._base,
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def _verified(self, id_token: str, nonce: str, access_token: str | None) -> Mapping[str, Any]:
        known = self._current()
        try:
            try:
                token = jwt.decode(id_token, known.keys, ALGORITHMS)
            except (InvalidKeyIdError, BadSignatureError):  # the provider may have begun to use another key
                token = jwt.decode(id_token, self._current(renew=True).keys, ALGORITHMS)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": known.metadata["issuer"]},
                    "aud": {"essential": True, "value": self._options.client_id},
                    "sub": {"essential": True},
                },
                {"nonce": nonce, "client_id": self._options.client_id, "access_token": access_token},
            )
            claims.validate(int(self._clock()), int(self._options.leeway))
        except (JoseError, AuthlibBaseError, ValueError, TypeError, KeyError) as error:
            raise ProviderError(f"the ID token is not acceptable: {error or type(error).__name__}") from error
        return dict(claims)

    def _client(self) -> OAuth2Client:
        options = self._options
        secret = None if options.client_secret is None else options.client_secret.get_secret_value()
        return OAuth2Client(
            _Session(self._fetch),
            options.client_id,
            secret,
            "none" if secret is None else f"client_secret_{options.client_auth}",
            scope=" ".join(dict.fromkeys(["openid", *options.scopes])),
            redirect_uri=self._base + CALLBACK,
            code_challenge_method="S256",
        )

    def _current(self, renew: bool = False) -> _Known:
        """Returns the provider's configuration and keys, and asks for them if they are old. Raises
        UnreachableProviderError, also without asking if that has just failed."""
        with self._lock:
            now = time.monotonic()
            if self._known is not None and not renew and now < self._known.until:
                return self._known
            if self._failed is not None and now < self._failed[1]:
                raise self._failed[0]
            try:
                self._known, self._failed = self._asked(), None
            except UnreachableProviderError as error:
                self._failed = error, time.monotonic() + _RETRY_AFTER
                raise
            return self._known

    def _asked(self) -> _Known:
        issuer = self._options.issuer.rstrip("/")
        metadata = self._json(f"{issuer}/.well-known/openid-configuration")
        if str(metadata.get("issuer")).rstrip("/") != issuer:
            raise UnreachableProviderError(f"{issuer} calls itself another issuer: correct access.oidc.issuer")
        for endpoint in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(metadata.get(endpoint), str) or not _is_confidential(metadata[endpoint]):
                raise UnreachableProviderError(f"{issuer} has no {endpoint} that is https")
        try:
            keys = KeySet.import_key_set(self._json(metadata["jwks_uri"]))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise UnreachableProviderError(f"the keys of {issuer} cannot be used: {error}") from error
        return _Known(metadata, keys, time.monotonic() + FRESH)

    def _json(self, url: str) -> dict[str, Any]:
        answer = self._fetch("GET", url, {"Accept": "application/json"}, None)
        try:
            found = json.loads(answer.content) if answer.status_code == 200 else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UnreachableProviderError(f"{_shown(url)} answered {answer.status_code}, not with JSON")
        return found

    def _fetch(self, method: str, url: str, headers: Mapping[str, str], body: str | None) -> _Answer:
        """Follows no redirect. Raises UnreachableProviderError."""
        parts = urlsplit(url)
        tls = self._tls if parts.scheme == "https" else None
        try:
            port = parts.port or (443 if tls else 80)
            connection = DeadlineConnection(parts.hostname or "", port, tls)
            connection.until = time.monotonic() + TIMEOUT
            with closing(connection):
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request(method, target, body, {"User-Agent": "sightd", **headers})
                with connection.getresponse() as response:
                    content = response.read(MOST_BYTES + 1)
        except TimeoutError as error:
            raise UnreachableProviderError(f"no complete answer of {_shown(url)} within {TIMEOUT:g} s") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            raise UnreachableProviderError(f"{_shown(url)} cannot be reached: {reason}") from error
        if len(content) > MOST_BYTES:
            raise UnreachableProviderError(f"the answer of {_shown(url)} is larger than {MOST_BYTES // 1024} KiB")
        return _Answer(response.status, content)

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=None if self._options.ca is None else str(self._options.ca))

    def _tls(self) -> ssl.SSLContext:
        return self._context


@dataclass(frozen=True, slots=True)
class _Answer:
    """What Authlib uses of a response."""

    status_code: int
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise ProviderError(f"the provider answered {self.status_code}")


class _Session:
    """What Authlib uses of a session of `requests`."""

    def __init__(self, fetch: Callable[[str, str, Mapping[str, str], str], _Answer]) -> None:
        self._fetch = fetch

    def post(self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> _Answer:
        url, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return self._fetch("POST", url, sent, body)


def _is_confidential(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    except ValueError:
        return False


def _shown(url: str) -> str:
    return url.partition("?")[0]
