"""Logins besides tokens: by a header of a reverse proxy, and by an OpenID Connect provider."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints

from sightd.daemon.config.section import RoleName, Section, is_loopback
from sightd.daemon.config.sinks import Problem, ca_problems
from sightd.plugins.api import Span

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
Claim = Annotated[str, StringConstraints(pattern=r"^[^\s.\x00-\x1f]+(\.[^\s.\x00-\x1f]+)*$", max_length=128)]
"""The name of a claim, or its path through objects: "realm_access.roles"."""
Held = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""The name of a user or group, or a value of a claim."""
_OTHER_PURPOSE = frozenset({"host", "authorization", "cookie", "origin", "referer", "x-forwarded-for", "x-sightd"})


class ProxyLogin(Section):
    """Login by a reverse proxy, which names the user in a header. Only proxies listed in http.proxies are trusted."""

    header: HeaderName = Field(
        description="Header with the user's name. The proxy must remove it from what clients send.",
        examples=["X-Forwarded-User", "Remote-User"],
    )
    groups_header: HeaderName | None = Field(
        None, description="Header with the user's groups, separated by commas.", examples=["X-Forwarded-Groups"]
    )
    users: dict[Held, RoleName] = Field(
        default_factory=dict, max_length=1000, description="Roles of users.", examples=[{"ada": "admin"}]
    )
    groups: dict[Held, RoleName] = Field(
        default_factory=dict,
        max_length=1000,
        description="Roles of groups. A user has the highest of these roles and the user's own.",
        examples=[{"security": "operate"}],
    )
    default_role: RoleName | None = Field(
        None, description="Role of users that have no other; by default they are refused."
    )


class OidcLogin(Section):
    """Login by an OpenID Connect provider, such as Keycloak, Authentik or Entra ID (requires pip install
    'sightd[oidc]')."""

    issuer: str = Field(
        max_length=500,
        description="Address of the provider; its configuration is at /.well-known/openid-configuration below it.",
        examples=["https://id.example.com/realms/house"],
    )
    client_id: str = Field(min_length=1, max_length=200, description="The id of sightd at the provider.")
    client_secret: SecretStr | None = Field(
        None,
        description="The secret of sightd at the provider; preferably ${file:PATH} or ${env:NAME}. None for a public "
        "client.",
        examples=["${file:/run/credentials/sightd.service/oidc}"],
    )
    client_auth: Literal["basic", "post"] = Field(
        "basic", description="How the secret is sent to the provider: in a header (basic) or in the body (post)."
    )
    external_url: str = Field(
        max_length=500,
        description="Address at which browsers reach this server. Register EXTERNAL_URL/api/v1/login/oidc/callback at "
        "the provider as redirect URI, and EXTERNAL_URL/ as post-logout redirect URI.",
        examples=["https://cameras.example.com"],
    )
    scopes: list[Annotated[str, StringConstraints(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$", max_length=100)]] = Field(
        ["openid", "profile"], max_length=20, description="Scopes to request; openid is always among them."
    )
    name_claim: Claim = Field(
        "preferred_username", description="Claim of the ID token with the user's name; `sub` is used if it is missing."
    )
    roles_claim: Claim = Field(
        "groups",
        description="Claim of the ID token with the user's groups or roles: a text or a list of texts. Dots lead into "
        "objects.",
        examples=["groups", "realm_access.roles"],
    )
    roles: dict[Held, RoleName] = Field(
        default_factory=dict,
        max_length=1000,
        description="Roles by value of `roles_claim`. A user has the highest of them.",
        examples=[{"house-admins": "admin", "house": "view"}],
    )
    default_role: RoleName | None = Field(
        None, description="Role of users that have no other; by default they are refused."
    )
    session_length: Span = Field(
        12 * 3600.0, description="How long such a session lasts until the provider is asked again.", examples=["12h"]
    )
    leeway: Span = Field(60.0, le=300.0, description="Difference of the clocks that is allowed.", examples=["1m"])
    ca: Path | None = Field(None, description="PEM file with the CA certificates that the provider's is checked with.")


def proxy_problems(login: ProxyLogin, proxies: bool) -> Iterator[Problem]:
    """Yields what keeps the login by header from working, with paths below `access.proxy`. `proxies`: whether
    http.proxies names any."""
    if not proxies:
        yield (), "has no effect: http.proxies names no proxy", "write http: {proxies: [127.0.0.1]}"
    for option, name in (("header", login.header), ("groups_header", login.groups_header)):
        if name is not None and name.lower() in _OTHER_PURPOSE:
            yield (option,), f"{name} has another purpose", "write the header in which the proxy names the user"
    if login.groups_header is not None and login.groups_header.lower() == login.header.lower():
        yield ("groups_header",), "is the same as header", "write the header with the groups, or remove it"
    if login.groups and login.groups_header is None:
        yield ("groups",), "has no effect without groups_header", "write the header in which the proxy lists the groups"
    yield from _without_roles({**login.users, **login.groups}, login.default_role, "users, groups or default_role")


def oidc_problems(login: OidcLogin) -> Iterator[Problem]:
    """Yields what keeps the login by a provider from working, with paths below `access.oidc`."""
    for module in ("authlib", "joserfc"):
        if importlib.util.find_spec(module) is None:
            yield (), f"requires the package {module}", "run: pip install 'sightd[oidc]'"
            break
    for option, url in (("issuer", login.issuer), ("external_url", login.external_url)):
        if reason := _url_fault(url):
            yield (option,), reason, "write https://HOST"
    if login.ca is not None:
        yield from ca_problems((), login.ca)
    yield from _without_roles(login.roles, login.default_role, "roles or default_role")


def _without_roles(roles: Mapping[str, RoleName], default: RoleName | None, options: str) -> Iterator[Problem]:
    if not roles and default is None:
        yield (), "gives nobody a role", f"add {options}"


def _url_fault(url: str) -> str | None:
    """Clear text is accepted only within this machine: who can read it can log in."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "is not an http:// or https:// URL"
    if parts.username is not None or parts.query or parts.fragment:
        return "must have no user, query or fragment"
    if parts.scheme == "http" and not is_loopback(host):
        return "must be https, except on this machine"
    return None
