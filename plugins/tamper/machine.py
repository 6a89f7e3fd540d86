"""Decides what has happened to a camera, from looks at its frames: a pure step from look to look.

The usual look is learnt first, and follows the light as long as the camera is as it was. A camera is

- **moved** if its edges have left their places, sharp ones are elsewhere, and these stay: who passes does not;
- **covered** if its edges have left their places, and there are hardly any, or only blurred ones;
- **defocused** if its edges are at their places, and much less sharp at the same brightness.

Exposure, day and night, infrared and half a picture of people change none of this: a part of the edges stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from sightd.plugins.activity.disturbances import Grid
from sightd.plugins.tamper.look import Agreement, Look, Spectrum, agreement, blur, blur_of_another, spectrum

_SAME, _OTHER = 12.0, 9.0
"""Views agree from the first value on, and do not below the second (`look.agreement`)."""
_OF_USUAL = 0.2
"""Views with few edges agree less: then this share of what is usual counts."""
_CLEAR = 20.0
"""From this agreement on, the shift at which two views agree best is how the camera was moved."""
_BARE = 0.3
"""A view with less than this share of the usual structure is covered, whatever else it shows."""
_BLURRED, _SHARP = 0.55, 0.7
"""A view is blurred below the first share of the usual sharpness, and sharp again from the second on."""
_STEADY = 0.3
"""The brightness is as usual if it differs by at most this share."""
_LEAST_STRUCTURE = 0.8
"""Mean strength of edges (grey levels per cell) below which a view says nothing: noise has up to 0.5."""
_FOLLOW, _FOLLOW_LIGHT, _FOLLOW_BLUR = 60.0, 30.0, 600.0
"""Time constants (s) with which the usual edges, brightness and a decrease of sharpness are followed."""
_RENEW = 2.0
"""The spectrum of the usual edges is computed again after this time (s)."""
_DOUBT = 2.0
"""What is suspected stays so for this long (s) while the camera is neither as usual nor suspicious."""
_LONGEST_STEP = 5.0
"""A pause between two looks counts as at most this long (s)."""


class What(StrEnum):
    """What has been done to a camera."""

    COVERED = "covered"
    DEFOCUSED = "defocused"
    MOVED = "moved"


class Reason(StrEnum):
    """Why it is over: the camera is as it was, or its new view was accepted."""

    RESTORED = "restored"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class TamperRules:
    """Times in s: how long is learnt; for how long something must be seen, and not be seen any more; and when a new
    view is the usual one, None for never."""

    learn: float
    after: float
    clear_after: float
    accept_after: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """How a camera usually looks: as `Look`. `agreement` is how well looks at it agree with it. `edges` are newer than
    `spectrum`, which was computed at `renewed_at`."""

    edges: Grid
    spectrum: Spectrum
    renewed_at: float
    structure: float
    luma: float
    sharpness: Grid
    agreement: float = _SAME

    @classmethod
    def of(cls, look: Look, at: float) -> Usual:
        return cls(look.edges, spectrum(look.edges), at, look.structure, look.luma, look.sharpness)

    def after(self, look: Look, agreed: float, at: float, share: float, passed: float) -> Usual:
        """Returns the usual look after one more at `at` (s), which counts by `share` or, of what follows the light,
        by the time `passed`."""
        usual = replace(
            self,
            edges=self.edges + np.float32(share) * (look.edges - self.edges),
            structure=self.structure + share * (look.structure - self.structure),
            agreement=self.agreement + share * (agreed - self.agreement),
            luma=self.luma + max(share, passed / _FOLLOW_LIGHT) * (look.luma - self.luma),
            sharpness=self._sharpness(look, share, passed),
        )
        if 0 <= at - self.renewed_at < _RENEW:
            return usual
        return replace(usual, spectrum=spectrum(usual.edges), renewed_at=at)

    def _sharpness(self, look: Look, share: float, passed: float) -> Grid:
        known, now = self.sharpness, np.where(np.isfinite(look.sharpness), look.sharpness, self.sharpness)
        known = np.where(np.isfinite(known), known, now)
        if self.is_steady(look) and share <= passed / _FOLLOW and (self.blur(look) or 1.0) < 1:
            share = passed / _FOLLOW_BLUR
        return np.asarray(known + np.float32(share) * (now - known), np.float32)

    def blur(self, look: Look) -> float | None:
        return blur(self.sharpness, look.sharpness)

    def is_steady(self, look: Look) -> bool:
        return abs(look.luma - self.luma) <= _STEADY * max(self.luma, 1.0)

    @property
    def other_below(self) -> float:
        """Below this agreement, another view is seen."""
        return min(_OTHER, _OF_USUAL * self.agreement)

    @property
    def same_from(self) -> float:
        """From this agreement on, the usual view is seen."""
        return min(_SAME, _OF_USUAL * _SAME / _OTHER * self.agreement)


@dataclass(frozen=True, slots=True)
class Tampered:
    """What is the case since `since` (s), and how far the camera was moved (fractions of the frame's width and height,
    right and down), if that is known."""

    what: What
    since: float
    shift: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CameraView:
    """What is known of a camera after a look at `at` (s): its spectrum is `last`, that of the look before it `before`.
    `known_for` is for how long the usual look was seen (s); `suspected_since` since when something may be the case,
    which was seen last at `suspected_at`; `tampered` what was reported, and `clear_since` since when that is over
    (None: it is not)."""

    at: float
    usual: Usual
    last: Spectrum
    before: Spectrum | None = None
    agreed: float = 0.0
    known_for: float = 0.0
    suspected_since: float | None = None
    suspected_at: float = 0.0
    tampered: Tampered | None = None
    clear_since: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Something has begun, or is over for a `reason` after `seconds`."""

    tampered: Tampered
    reason: Reason | None = None
    seconds: float = 0.0


def begin(look: Look, at: float) -> CameraView:
    usual = Usual.of(look, at)
    return CameraView(at, usual, usual.spectrum)


def step(before: CameraView, look: Look, at: float, rules: TamperRules) -> tuple[CameraView, Change | None]:
    """Returns the state after a look at `at` (s), and what has changed. The look must be of the same size. Time that
    runs backwards counts as no time."""
    passed = min(max(at - before.at, 0.0), _LONGEST_STEP)
    now = spectrum(look.edges)
    agreed = agreement(before.usual.spectrum, now, look.edges.shape)
    view = replace(before, at=at, last=now, before=before.last, agreed=agreed.here)
    if view.tampered is not None:
        return _while_tampered(view, view.tampered, look, agreed, rules)
    if before.known_for < rules.learn:
        return _learnt(view, look, agreed, passed, at), None
    return _watched(view, look, agreed, passed, rules)


def _rests(view: CameraView, look: Look) -> bool:
    """Returns whether the last two looks show the same view."""
    return view.before is not None and agreement(view.before, view.last, look.edges.shape).here >= _SAME


def _learnt(view: CameraView, look: Look, agreed: Agreement, passed: float, at: float) -> CameraView:
    """Learns the usual look as the mean of all; begins again if the view changes, or shows nothing."""
    if agreed.here < _OTHER or look.structure < _LEAST_STRUCTURE:
        return replace(begin(look, at), agreed=agreed.here)
    share = passed / (view.known_for + 2 * passed) if passed else 0.0
    usual = view.usual.after(look, agreed.here, at, share, passed)
    return replace(view, usual=usual, known_for=view.known_for + passed)


def _watched(
    view: CameraView, look: Look, agreed: Agreement, passed: float, rules: TamperRules
) -> tuple[CameraView, Change | None]:
    what, at, since = _seen(view.usual, look, agreed), view.at, view.suspected_since
    if what is None:
        doubtful = since is not None and 0 <= at - view.suspected_at <= _DOUBT
        if doubtful and not _is_usual(view.usual, look, agreed):
            return view, None
        usual = view.usual.after(look, agreed.here, at, passed / _FOLLOW, passed)
        return replace(view, usual=usual, suspected_since=None), None
    if since is None or at < since or (what is What.MOVED and not _rests(view, look)):
        since = at
    if at - since < rules.after:
        return replace(view, suspected_since=since, suspected_at=at), None
    tampered = Tampered(what, since, _shift(look, agreed) if what is What.MOVED else None)
    return replace(view, suspected_since=None, tampered=tampered), Change(tampered)


def _seen(usual: Usual, look: Look, agreed: Agreement) -> What | None:
    if agreed.here >= usual.other_below:
        sharpness = usual.blur(look)
        blurred = sharpness is not None and sharpness < _BLURRED
        return What.DEFOCUSED if blurred and usual.is_steady(look) else None
    sharpness = blur_of_another(usual.sharpness, look.sharpness)
    if sharpness is None or sharpness < _BLURRED or look.structure < _BARE * usual.structure:
        return What.COVERED
    return What.MOVED


def _shift(look: Look, agreed: Agreement) -> tuple[float, float] | None:
    rows, columns = look.edges.shape
    x, y = agreed.shift
    return (x / columns, y / rows) if agreed.best >= _CLEAR else None


def _while_tampered(
    view: CameraView, tampered: Tampered, look: Look, agreed: Agreement, rules: TamperRules
) -> tuple[CameraView, Change | None]:
    if _is_usual(view.usual, look, agreed):
        since = view.at if view.clear_since is None or view.at < view.clear_since else view.clear_since
        if view.at - since < rules.clear_after:
            return replace(view, clear_since=since), None
        over = Change(tampered, Reason.RESTORED, max(since - tampered.since, 0.0))
        return replace(view, tampered=None, clear_since=None), over
    lasted = max(view.at - tampered.since, 0.0)
    accepts = rules.accept_after is not None and lasted >= rules.accept_after
    if tampered.what is What.MOVED and accepts and _rests(view, look):
        return begin(look, view.at), Change(tampered, Reason.ACCEPTED, lasted)
    return replace(view, clear_since=None), None


def _is_usual(usual: Usual, look: Look, agreed: Agreement) -> bool:
    """Returns whether a camera is as it usually is, which takes more than not to be suspicious."""
    if agreed.here < usual.same_from:
        return False
    sharpness = usual.blur(look)
    return sharpness is None or sharpness >= _SHARP
