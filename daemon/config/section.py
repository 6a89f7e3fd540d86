"""The base of every section of the configuration file, and the types of names and hosts that several sections share."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Lower-case letters, digits, "-" and "_": it becomes part of an address and of a metric's label."""

HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]
"""A host name or address, without port."""

RoleName = Literal["view", "operate", "admin"]
"""What a client may do; each role includes those before it."""


class Section(BaseModel):
    """A part of the file: unknown keys are refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


KindPattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.*?-]{1,128}$")]
"""The kind of an event, such as "zone.entered", or a pattern: "*" stands for any text, "?" for one character."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
