"""Redacts credentials in text, and lists the URL schemes of camera sources, which redaction depends on."""

from __future__ import annotations

import re

RTSP = ("rtsp", "rtsps")
"""This and the following: URL schemes of camera sources, in lower case."""
HTTP = ("http", "https")
NETWORK = (*RTSP, *HTTP)
"""Followed by a host, and perhaps by user and password."""
ADDRESSES = (*NETWORK, "testpattern")
SOURCES = (*ADDRESSES, "file")
SUPPORTED = f"{', '.join(f'{scheme}://' for scheme in ADDRESSES)}, a file's path or /dev/videoN"
"""For error messages: "write one of " and this."""


MARK = "***"
_PLACEHOLDER = "USER:PASSWORD"
"""Used in hints; not a real credential."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}:[/\\]+")
_AUTHORITY = re.compile(r"[^/\\?#\s]*")
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")
_PUNCTUATION = ".,;:!)]}>'\"`"
_PAIR = re.compile(r"([?&;#])([^=&;#?\s]{1,128})=([^&;#\s]*(?:#[^&;#=\s]*(?=[&;#\s]|$))*)")
"""A query parameter. A plain "#" is part of the value unless another parameter follows it: passwords may contain it."""
_SECRET_KEY = re.compile(
    r"pass|pas$|pwd|pw$|token|secret|key|auth|sig|cred|session|sid$|user|usr|login|jwt|account|ticket|hash|code$|nonce",
    re.IGNORECASE,
)
_LONG_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{20,}")
_NETWORK = re.compile(f"(?:{'|'.join(NETWORK)})://", re.IGNORECASE)
_STEP = re.compile(r"[^/?#\s]+")
_TOKEN_STEP = re.compile(
    r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_-]{22,}"
    r"|(?=[A-Z]*[a-z0-9])(?=[a-z0-9]*[A-Z]|[A-Za-z]*\d)[A-Za-z0-9]{16,}"
)
_HEADER = re.compile(r"\b((?:proxy-)?authorization\W{1,4}|bearer\s+(?=\S{16}))[^\r\n]+", re.IGNORECASE)
_CHUNKS = re.compile(r"(\s+)")
_NO_HOST = re.compile(r"[.,;:!?)\]}>'\"`]*(?:\s|$)")
"""What follows an "@" in prose: the end of a word. No host starts like this."""


def redact(text: str) -> str:
    """Returns `text` without credentials and token-like query values; the rest stays readable.

    Handles URLs anywhere in the text, `user:password@host` without a scheme, and passwords that contain "@", "/" or
    spaces. Never raises; idempotent.
    """
    return "".join(_redact_line(line) for line in text.splitlines(keepends=True))


def is_secret_name(name: str) -> bool:
    """Whether a value of this name is probably a secret, such as that of "password" or "api_key"."""
    return _SECRET_KEY.search(name) is not None


def _redact_line(line: str) -> str:
    if "@" in line or ":/" in line or ":\\" in line:
        line = "".join(_redact_segment(segment) for segment in _segments(line))
    if "=" in line:
        line = _PAIR.sub(_redact_pair, line)
    return _HEADER.sub(lambda match: match[1] + MARK, line)


def _segments(line: str) -> list[str]:
    """Splits the line before each word that contains a URL: an "@" belongs to the last URL before it."""
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
    """Index of the "@" that ends user and password in what follows "scheme://"; -1 if there are none.

    That is the last "@" that can be followed by a host. If there is none, it is the last "@" of the first word. If that
    word has none and is not a host and port, a password with spaces may start in it: then it is the last "@" of all.
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
    """Redacts the path of a URL without its scheme. Some recorders put user and password there, others a random
    token."""
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
    """Redacts an authority without "@" that is not a valid host and port: it may be a malformed password."""
    if _is_host_and_port(rest):
        return rest
    found = _AUTHORITY.match(rest)
    return MARK + rest[found.end() if found else 0 :]


def _redact_pair(match: re.Match[str]) -> str:
    opening, key, value = match.groups()
    secret = _SECRET_KEY.search(key) or _LONG_TOKEN.search(value) or "%3a%2f%2f" in value.lower() or "%40" in value
    return f"{opening}{key}={MARK if secret and value else value}"
