"""The base of every section of the configuration file, and the types of names that several sections share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Lower-case letters, digits, "-" and "_": it becomes part of an address and of a metric's label."""

HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]
"""A host name or address, without port."""


class Section(BaseModel):
    """A part of the file: unknown keys are refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


KindPattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.*?-]{1,128}$")]
"""The kind of an event, such as "zone.entered", or a pattern: "*" stands for any text, "?" for one character."""
