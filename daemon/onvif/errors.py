"""Why a camera did not do what it was asked to over ONVIF."""

from __future__ import annotations

from sightd.daemon.capture.errors import Reason, SourceError, fault_of

_WORDS = {
    Reason.UNAUTHORISED: "the camera rejected user and password, or asks for them; check them, and the user's level",
    Reason.NOT_FOUND: "there is no ONVIF service at this address; check it, and that ONVIF is switched on",
    Reason.TIMEOUT: "the camera did not answer in time; check address, port and network",
    Reason.NO_VIDEO: "the answer is not one of ONVIF; check address and port",
    Reason.EOF: "the camera closed the connection before it answered",
    Reason.TOO_LARGE: "the answer is larger than any camera's",
    Reason.REDIRECT: "the camera redirects to another address, which is not followed",
    Reason.OTHER: "the camera refused the request",
}


class OnvifError(Exception):
    """The text says what to check, and contains no password. `reason` is as of sources."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(_WORDS.get(reason, reason.explanation) + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail


def onvif_error(failure: BaseException) -> OnvifError:
    """Converts what a request may raise: SourceError, or what a socket raises."""
    fault: SourceError = fault_of(failure)
    return OnvifError(fault.reason, fault.detail)
