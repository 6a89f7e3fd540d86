"""Options of live video by WebRTC."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from sightd.daemon.config.section import Section

ServerAddress = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}$")]
"""HOST:PORT; IPv6 addresses in brackets."""
TurnUrl = Annotated[str, StringConstraints(pattern=r"^turns?:[A-Za-z0-9.\[\]:_-]{1,260}(\?transport=(udp|tcp))?$")]
IpAddress = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}(\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{2,40})$")]


class Turn(Section):
    """A TURN server, which relays video to viewers that cannot reach this machine. Viewers get its credentials."""

    urls: list[TurnUrl] = Field(
        min_length=1, max_length=4, description="Addresses of the server.", examples=[["turn:turn.example.com:3478"]]
    )
    username: str = Field(min_length=1, max_length=256, description="User name at the server.")
    password: SecretStr = Field(
        description="Password at the server; preferably ${env:NAME} or ${file:PATH}.", examples=["${file:/run/turn}"]
    )


class WebRtc(Section):
    """Live video in browsers by WebRTC. The web server does the signalling (WHEP); video is sent over UDP."""

    enabled: bool = Field(True, description="Serve WebRTC.")
    host: str | None = Field(None, description="Listen address; by default that of http.")
    port: int = Field(
        8555, ge=0, le=65535, description="UDP port for all viewers, opened by the first one; 0 picks a free one."
    )
    addresses: list[IpAddress] = Field(
        default_factory=list,
        max_length=8,
        description="IP addresses at which viewers reach this machine. By default those that it knows, which is not "
        "enough in a container with a network of its own, or behind a router that forwards the port.",
        examples=[["10.0.0.5"]],
    )
    max_viewers: int = Field(32, ge=1, description="Maximum number of viewers; further ones get a 503 response.")
    stun: ServerAddress | None = Field(
        None,
        description="STUN server, for viewers from outside: it says which address a router gives to this machine.",
        examples=["stun.example.com:3478"],
    )
    turn: Turn | None = Field(None, description=Turn.__doc__)
