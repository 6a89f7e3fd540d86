"""Which endpoints are local: on this machine or in a private network, so that no image leaves it."""

from __future__ import annotations

import ipaddress

_LOCAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
"""Loopback, private use (RFC 1918, RFC 4193) and link-local addresses."""
_SUFFIXES = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


def is_local_address(address: str) -> bool:
    """Whether an IP address is one of this machine or of a private network. False for text that is no IP address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in _LOCAL)


def is_local_host(host: str) -> bool:
    """Whether a host is local by its address or name: "localhost", a name without a dot such as "ollama", or one below
    a domain of private networks. A name only promises that: the address that it leads to is checked when connected."""
    name = host.lower().rstrip(".")
    if ":" in name or name.replace(".", "").isdecimal():
        return is_local_address(name)
    return "." not in name or name.endswith(_SUFFIXES)
