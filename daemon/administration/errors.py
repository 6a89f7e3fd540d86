"""Why something cannot be read or changed. The messages are for people, and contain no secrets."""

from __future__ import annotations


class UnknownNameError(LookupError):
    """There is no camera, plug-in, rule, model, version or job of this name."""


class NameTakenError(Exception):
    """There is something of this name already."""


class UnsupportedError(Exception):
    """This is not possible with what is configured."""


class NotWritableError(Exception):
    """The configuration file cannot be replaced; the message says what to do."""


class OutdatedError(Exception):
    """The file is not the one that the client has seen."""


class BusyError(Exception):
    """Too many requests at once, or one takes too long."""
