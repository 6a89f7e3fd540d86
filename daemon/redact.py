"""Takes secrets out of text: user and password of any address, query values that look like tokens, auth headers.

When in doubt it takes away too much: a line that says too little is a nuisance, one that says too much is a leak. A
password may hold any character, blanks and "@" too, so text after an address survives up to the last "@" that could
stand before a host.
"""

from __future__ import annotations

import re

MARK = "***"
_PLACEHOLDER = "USER:PASSWORD"
"""Stands in hints, and is nobody's."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}:[/\\]+")
_AUTHORITY = re.compile(r"[^/\\?#\s]*")
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")
_PUNCTUATION = ".,;:!)]}>'\"`"
_PAIR = re.compile(r"([?&;#])([^=&;#?\s]{1,128})=([^&;#\s]*(?:#[^&;#=\s]*(?=[&;#\s]|$))*)")
"""A pair of a query. A plain "#" belongs to the value if no other pair begins there: it may be part of a password."""
_SECRET_KEY = re.compile(
    r"pass|pas$|pwd|pw$|token|secret|key|auth|sig|cred|session|sid$|user|usr|login|jwt|account|ticket|hash|code$|nonce",
    re.IGNORECASE,
)
_LONG_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{20,}")
_NETWORK = re.compile(r"(?:rtsp|rtsps|http|https)://", re.IGNORECASE)
_STEP = re.compile(r"[^/?#\s]+")
_TOKEN_STEP = re.compile(
    r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_-]{22,}"
    r"|(?=[A-Z]*[a-z0-9])(?=[a-z0-9]*[A-Z]|[A-Za-z]*\d)[A-Za-z0-9]{16,}"
)
_HEADER = re.compile(r"\b((?:proxy-)?authorization\W{1,4}|bearer\s+(?=\S{16}))[^\r\n]+", re.IGNORECASE)
_CHUNKS = re.compile(r"(\s+)")
_NO_HOST = re.compile(r"[.,;:!?)\]}>'\"`]*(?:\s|$)")
"""What follows an "@" of prose: the end of a word. No host begins so."""


def redact(text: str) -> str:
    """`text` without any address's user, password and token-like query values; the rest stays readable.

    Knows addresses anywhere in the text, `user:password@host` without a scheme, and passwords with "@", "/" or
    blanks in them. Never raises; doing it twice changes nothing more.
    """
    return "".join(_redact_line(line) for line in text.splitlines(keepends=True))


def _redact_line(line: str) -> str:
    if "@" in line or ":/" in line or ":\\" in line:
        line = "".join(_redact_segment(segment) for segment in _segments(line))
    if "=" in line:
        line = _PAIR.sub(_redact_pair, line)
    return _HEADER.sub(lambda match: match[1] + MARK, line)


def _segments(line: str) -> list[str]:
    """The line cut before each word that has an address in it: an "@" belongs to the last address before it."""
    segments: list[list[str]] = [[]]
    for chunk in _CHUNKS.split(line):
        if _SCHEME.search(chunk):
            segments.append([])
        segments[-1].append(chunk)
    return ["".join(chunks) for chunks in segments]


def _redact_segment(segment: str) -> str:
    scheme = _SCHEME.search(segment)
    if scheme is None:
        return "".join(_redact_bare(chunk) for chunk in _CHUNKS.split(segment))
    before, opening, rest = segment[: scheme.start()], scheme[0], segment[scheme.end() :]
    at = _end_of_credentials(rest)
    if at < 0:
        rest = _without_broken_authority(rest)
    elif rest[:at] != _PLACEHOLDER:
        rest = MARK + rest[at:]
    if _NETWORK.fullmatch(opening):
        address = _CHUNKS.split(rest, maxsplit=1)[0]
        rest = _redact_path(address) + rest[len(address) :]
    return _redact_bare(before) + opening + rest


def _end_of_credentials(rest: str) -> int:
    """Where the "@" stands that ends user and password, in what follows "scheme://"; -1 if there are none.

    It is the last that a host may follow. Failing that, the last of the first word; or, if that word is no host and
    port, so that a password with blanks may have begun in it, the last of all.
    """
    at = last = rest.rfind("@")
    while at >= 0 and _NO_HOST.match(rest, at + 1):
        at = rest.rfind("@", 0, at)
    if at >= 0 or last < 0:
        return at
    word = _CHUNKS.split(rest, maxsplit=1)[0]
    return word.rfind("@") if "@" in word or _is_host_and_port(word) else last


def _is_host_and_port(word: str) -> bool:
    found = _AUTHORITY.match(word)
    authority = found[0] if found else ""
    return authority.startswith("[") or _HOST_AND_PORT.fullmatch(authority.rstrip(_PUNCTUATION)) is not None


def _redact_path(address: str) -> str:
    """Of an address without its scheme. Some recorders have user and password in the path, others a random word."""
    host, slash, path = address.partition("/")
    path, question, query = path.partition("?")
    return host + slash + _STEP.sub(_redact_step, path) + question + query


def _redact_step(match: re.Match[str]) -> str:
    key, equals, _ = match[0].partition("=")
    if equals and _SECRET_KEY.search(match[0]):
        return f"{key}={MARK}"
    return MARK if _TOKEN_STEP.fullmatch(match[0].rstrip(_PUNCTUATION)) else match[0]


def _redact_bare(chunk: str) -> str:
    at = chunk.rfind("@")
    return MARK + chunk[at:] if 0 <= chunk.find(":") < at else chunk


def _without_broken_authority(rest: str) -> str:
    """Without an "@" the authority is host and port; where it cannot be, it may be a password gone wrong."""
    if _is_host_and_port(rest):
        return rest
    found = _AUTHORITY.match(rest)
    return MARK + rest[found.end() if found else 0 :]


def _redact_pair(match: re.Match[str]) -> str:
    opening, key, value = match.groups()
    secret = _SECRET_KEY.search(key) or _LONG_TOKEN.search(value) or "%3a%2f%2f" in value.lower() or "%40" in value
    return f"{opening}{key}={MARK if secret and value else value}"
