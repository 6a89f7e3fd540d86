"""Logs in to cameras over HTTP and RTSP: basic or digest authentication (RFC 7616)."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Sequence

_CHALLENGE = re.compile(r"(?:^|,)\s*([A-Za-z]+)(?=\s+[A-Za-z]+\s*=|\s*(?:,|$))")
_FIELD = re.compile(r'([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_BEST_FIRST = ("SHA-512-256", "SHA-256", "MD5")


class Authenticator:
    """Answers the challenges of one camera. Holds the password, but includes it in none of its texts."""

    def __init__(self, user: str, password: str, *, basic: bool = True) -> None:
        """`basic`: whether to log in by basic authentication, which sends the password in clear text."""
        self._user, self._password, self._allows_basic = user, password, basic
        self._digest: dict[str, str] | None = None
        self._basic = False
        self._count = 0
        self._offered: list[str] = []

    @property
    def offered(self) -> list[str]:
        """Scheme and algorithm of each challenge in the last 401, such as "basic" or "digest SHA-256"."""
        return list(self._offered)

    @property
    def stale(self) -> bool:
        """Whether the last challenge says that only the nonce was outdated, and the password not wrong."""
        return self._digest is not None and self._digest.get("stale", "").lower() == "true"

    @property
    def legacy(self) -> bool:
        """Whether the chosen login is one of the oldest in RFC 2617: basic, or an MD5 digest without `qop`."""
        digest = self._digest
        return digest is None or (digest.get("algorithm", "MD5").upper() == "MD5" and "qop" not in digest)

    @property
    def why_not(self) -> str:
        """Why the server answered 401, other than for a wrong password; empty if no other reason is known."""
        if self._offered and not (self._basic or self._digest) and self._user:
            return f"the camera asks for {', '.join(self._offered)[:80]!a}, which is not supported"
        return "" if self._user else "the URL has no user and password"

    def challenged(self, headers: Sequence[str]) -> bool:
        """Processes the WWW-Authenticate headers of a 401 and returns whether another attempt makes sense."""
        before = self._digest, self._basic
        offers = [offer for header in headers[:8] for offer in _offers(header[:4096])]
        self._offered = [f"{scheme} {fields.get('algorithm', '')}".strip() for scheme, fields in offers]
        digests = {_algorithm(fields): fields for scheme, fields in offers if scheme == "digest" and "nonce" in fields}
        self._digest = next((digests[name] for name in _BEST_FIRST if name in digests), None)
        self._basic = self._allows_basic and self._digest is None and any(scheme == "basic" for scheme, _ in offers)
        self._count = 0
        return bool(self._user) and (self._digest is not None or self._basic) and before != (self._digest, self._basic)

    def authorization(self, method: str, target: str, body: bytes = b"") -> str | None:
        """Returns the Authorization header for a request with that body; None before the first challenge."""
        if self._digest is not None:
            return self._digest_of(self._digest, method, target, body)
        if self._basic:
            return "Basic " + base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        return None

    def _digest_of(self, challenge: dict[str, str], method: str, target: str, body: bytes) -> str:
        self._count += 1
        count, client, realm, nonce = f"{self._count:08x}", os.urandom(8).hex(), challenge.get("realm", ""), ""
        nonce, algorithm = challenge["nonce"], _algorithm(challenge)

        def hashed(*parts: str | bytes) -> str:
            data = b":".join(part if isinstance(part, bytes) else part.encode() for part in parts)
            return hashlib.new(_HASHES[algorithm], data).hexdigest()

        secret = hashed(self._user, realm, self._password)
        if challenge.get("algorithm", "").upper().endswith("-SESS"):
            secret = hashed(secret, nonce, client)
        offered = [word.strip().lower() for word in challenge.get("qop", "").split(",")]
        qop = next((word for word in ("auth", "auth-int") if word in offered), None)
        of_body = [hashed(body)] if qop == "auth-int" else []
        asked = hashed(method, target, *of_body)
        response = hashed(secret, nonce, *([count, client, qop] if qop else []), asked)
        fields = {"username": self._user, "realm": realm, "nonce": nonce, "uri": target, "response": response}
        if "opaque" in challenge:
            fields["opaque"] = challenge["opaque"]
        quoted = [f'{name}="{_escaped(value)}"' for name, value in fields.items()]
        plain = [f"algorithm={challenge['algorithm']}"] if "algorithm" in challenge else []
        plain += [f"qop={qop}", f"nc={count}", f'cnonce="{client}"'] if qop else []
        return "Digest " + ", ".join(quoted + plain)


def _offers(header: str) -> list[tuple[str, dict[str, str]]]:
    """Returns the schemes in a header, with their fields; none if it is not a challenge."""
    starts = list(_CHALLENGE.finditer(header))
    if not starts:
        return []
    ends = [*(match.start() for match in starts[1:]), len(header)]
    return [(match[1].lower(), _fields(header[match.end() : end])) for match, end in zip(starts, ends, strict=True)]


def _fields(text: str) -> dict[str, str]:
    return {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in _FIELD.findall(text)}


def _algorithm(challenge: dict[str, str]) -> str:
    return challenge.get("algorithm", "MD5").upper().removesuffix("-SESS")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
